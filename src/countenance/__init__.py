"""Self-hosted face and scene analysis that speaks Amazon Rekognition's API and answers for itself."""
