"""The tongue: requests and answers in Amazon Rekognition's words, over SigV4, with images from buckets.

model        the service model: which operations exist, requests decoded and checked, answers encoded
rules        the model's constraints and AWS's sentences for a broken one
shapes       what the model's shapes do to a value, on the way in and on the way out
sigv4        who signed a request
declaration  what a request says of itself, in signed headers
objects      the bytes an S3Object names
"""
