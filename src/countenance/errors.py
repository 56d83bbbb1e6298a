"""The whole error tree. Each error knows the code and HTTP status AWS gives it.

    CountenanceError
    ├── AwsError                                what a client is told, in AWS's words
    │   ├── AccessDenied                        AccessDeniedException            400
    │   ├── InvalidParameter                    InvalidParameterException        400
    │   ├── InvalidImageFormat                  InvalidImageFormatException      400
    │   ├── ImageTooLarge                       ImageTooLargeException           400
    │   ├── InvalidS3Object                     InvalidS3ObjectException         400
    │   ├── ResourceNotFound                    ResourceNotFoundException        400
    │   ├── ResourceAlreadyExists               ResourceAlreadyExistsException   400
    │   ├── Conflict                            ConflictException                400
    │   ├── IdempotentParameterMismatch         IdempotentParameterMismatchException 400
    │   ├── ServiceQuotaExceeded                ServiceQuotaExceededException    400
    │   ├── LimitExceeded                   LimitExceededException           400
    │   ├── VideoTooLarge                   VideoTooLargeException           400
    │   ├── InvalidPaginationToken              InvalidPaginationTokenException  400
    │   ├── ProvisionedThroughputExceeded       ProvisionedThroughputExceededException 400
    │   ├── Throttling                          ThrottlingException              400
    │   ├── InternalServer                      InternalServerError              500
    │   └── FrontEnd                            what AWS's front end says before the service sees a call
    │       ├── Validation                      ValidationException              400
    │       ├── Serialization                   SerializationException           400
    │       ├── UnknownOperation                UnknownOperationException        400
    │       ├── RequestEntityTooLarge           RequestEntityTooLargeException   413
    │       ├── RequestTimeout                  RequestTimeoutException          408
    │       └── NotAuthenticated                the four codes of a bad signature 400
    ├── StorageError                            the database refused; a client is told InternalServer
    │   └── IndexFault                          an index outside the database does not answer
    └── OperatorError                           what the person at the shell is told
        ├── HomeError                           a home that is missing, newer than this code, or damaged
        ├── ModelError                          weights that are missing, altered or unlicensed
        ├── PolicyError                         a pack that does not parse or validate
        ├── LedgerError                         a record that does not verify
        ├── PhotoError                          a photo at the shell that cannot be read
        ├── VideoError                          a clip that cannot be read: at the shell, or why a job failed
        └── DataError                           a labelled set that is absent or not as expected

A service error's body says `Message`, a front end's says `message`: real traces differ in just that way.
The exact sentence comes first because deployed clients branch on it; our own detail follows it.
"""

from __future__ import annotations


class CountenanceError(Exception):
    """Anything this package raises on purpose."""


class AwsError(CountenanceError):
    """What a client is told. code: the AWS error code. status: HTTP. sentence: AWS's text where known."""

    code = "InternalServerError"
    status = 500
    sentence = ""
    message_key = "Message"

    def __init__(self, sentence: str = "", detail: str = "") -> None:
        text = sentence or self.sentence
        self.message = f"{text}: {detail}" if text and detail else text or detail
        super().__init__(self.message)


class AccessDenied(AwsError):
    code, status = "AccessDeniedException", 400


class InvalidParameter(AwsError):
    code, status = "InvalidParameterException", 400
    sentence = "Request has invalid parameters"


class InvalidImageFormat(AwsError):
    code, status = "InvalidImageFormatException", 400
    sentence = "Request has invalid image format"


class ImageTooLarge(AwsError):
    code, status = "ImageTooLargeException", 400
    sentence = "Image size is too large"


class InvalidS3Object(AwsError):
    code, status = "InvalidS3ObjectException", 400
    sentence = "Unable to get object metadata from S3. Check object key, region and/or access permissions."


class ResourceNotFound(AwsError):
    code, status = "ResourceNotFoundException", 400


class ResourceAlreadyExists(AwsError):
    code, status = "ResourceAlreadyExistsException", 400


class Conflict(AwsError):
    code, status = "ConflictException", 400


class IdempotentParameterMismatch(AwsError):
    code, status = "IdempotentParameterMismatchException", 400
    sentence = (
        "A ClientRequestToken input parameter was reused with an operation, but at least one of the other "
        "input parameters is different from the previous call to the operation."
    )


class ServiceQuotaExceeded(AwsError):
    code, status = "ServiceQuotaExceededException", 400


class LimitExceeded(AwsError):
    code, status = "LimitExceededException", 400


class VideoTooLarge(AwsError):
    code, status = "VideoTooLargeException", 400


class InvalidPaginationToken(AwsError):
    code, status = "InvalidPaginationTokenException", 400
    sentence = "Invalid Pagination Token"


class ProvisionedThroughputExceeded(AwsError):
    code, status = "ProvisionedThroughputExceededException", 400
    sentence = "Provisioned Rate exceeded"


class Throttling(AwsError):
    code, status = "ThrottlingException", 400
    sentence = "Slow down; sudden increase in rate of requests"


class InternalServer(AwsError):
    code, status = "InternalServerError", 500
    sentence = "Internal server error"


class FrontEnd(AwsError):
    message_key = "message"


class Validation(FrontEnd):
    code, status = "ValidationException", 400


class Serialization(FrontEnd):
    code, status = "SerializationException", 400


class UnknownOperation(FrontEnd):
    code, status = "UnknownOperationException", 400


class RequestEntityTooLarge(FrontEnd):
    code, status = "RequestEntityTooLargeException", 413


class RequestTimeout(FrontEnd):
    code, status = "RequestTimeoutException", 408


class NotAuthenticated(FrontEnd):
    """A signature that is missing, malformed, stale or wrong; the subclasses carry AWS's codes."""

    code, status = "InvalidSignatureException", 400


class MissingAuthenticationToken(NotAuthenticated):
    code = "MissingAuthenticationTokenException"
    sentence = "Missing Authentication Token"


class IncompleteSignature(NotAuthenticated):
    code = "IncompleteSignatureException"


class UnrecognizedClient(NotAuthenticated):
    code = "UnrecognizedClientException"
    sentence = "The security token included in the request is invalid."


class InvalidSignature(NotAuthenticated):
    code = "InvalidSignatureException"
    sentence = (
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
    )


class StorageError(CountenanceError):
    """The database refused: a full disk, a lock held too long, a damaged file. Nothing was acknowledged."""


class IndexFault(StorageError):
    """An index that is kept outside the database cannot be asked or told. The database is right all the same.

    Its text is told to clients: what happened, nothing of where.
    """


class OperatorError(CountenanceError):
    """What the person at the shell is told: what happened and what to do about it."""


class HomeError(OperatorError):
    pass


class ModelError(OperatorError):
    pass


class PolicyError(OperatorError):
    pass


class LedgerError(OperatorError):
    """entry: the first sequence number that does not verify, None where the fault is not one entry's."""

    def __init__(self, message: str, entry: int | None = None) -> None:
        self.entry = entry
        super().__init__(message)


class PhotoError(OperatorError):
    pass


class VideoError(OperatorError):
    pass


class DataError(OperatorError):
    pass
