"""HTTP and nothing else: bytes to the door, the door's answer to bytes.

POST / is the API. /healthz says that the house is open, /metrics what came through.
"""

from __future__ import annotations

import asyncio
import collections
import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from countenance.aws import model, sigv4
from countenance.errors import AwsError, InternalServer, RequestEntityTooLarge, Throttling
from countenance.gate import Answer
from countenance.service import Service, now
