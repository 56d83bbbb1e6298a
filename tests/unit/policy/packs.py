"""What tests of packs write."""

from __future__ import annotations

ABOUT = """
title = "A pack of a test"
issuer = "the tests"
place = "world"
in_force_from = 2020-01-01
confidence = "project-rule"
read_on = 2026-11-21
reviewed_by = "the tests"
sources = ["none"]
"""
