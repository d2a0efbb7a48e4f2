"""What each of Lambda's answers proves: the tables of its documentation, row by row."""

from __future__ import annotations

import aiohttp
import pytest
from multidict import CIMultiDict

from sidelamb_handlers.poller.reply import Kind, lost, read_reply
from tests.handlers.kit import answered, api_error, function_error


class TestAnswered:
    def test_a_workers_answer_is_read_with_its_request(self):
        body = {"sidelamb": 1, "lease": "c:1", "status": "settled", "ran": 2, "ms": 3.5}
        reply = answered(body, "abc")
        assert (reply.kind, reply.request_id) == (Kind.ANSWERED, "abc")
        assert reply.answer is not None
        assert (reply.answer.status, reply.answer.ran) == ("settled", 2)

    @pytest.mark.parametrize("body", [None, "ok", [], {}, {"statusCode": 200}])
    def test_another_functions_result_proves_nothing(self, body):
        reply = answered(body)
        assert reply.kind is Kind.UNKNOWN
        assert "not a worker's answer" in reply.message
        assert not reply.proves_nothing_ran

    def test_a_long_result_is_quoted_in_short(self):
        assert len(read_reply(200, CIMultiDict(), b"x" * 5_000_000).message) < 300

    def test_headers_may_be_missing(self):
        assert read_reply(200, CIMultiDict(), b"null").request_id == ""


GONE = [
    {"errorMessage": "2026-11-23T07:00:00.000Z abc Task timed out after 3.00 seconds"},
    {"errorType": "Sandbox.Timedout", "errorMessage": "RequestId: x Error: Task timed out after 3.00 seconds"},
    {
        "errorType": "Runtime.ExitError",
        "errorMessage": "RequestId: x Error: Runtime exited with error: exit status 1",
    },
    {
        "errorType": "Runtime.ExitError",
        "errorMessage": "RequestId: x Error: Runtime exited with error: signal: segmentation fault",
    },
    {
        "errorType": "Runtime.ExitError",
        "errorMessage": "RequestId: x Error: Runtime exited without providing a reason",
    },
    {
        "errorType": "Runtime.ExitError",
        "errorMessage": "RequestId: x Error: Runtime exited with error: signal: killed",
    },
    {"errorType": "Runtime.OutOfMemory", "errorMessage": "RequestId: x Error: memory"},
    {"errorMessage": "RequestId: x Error: Runtime exited with error: exit status 1"},
]
ALIVE = [
    {"errorType": "ValueError", "errorMessage": "no", "requestId": "x", "stackTrace": []},
    {"errorType": "Runtime.MarshalError", "errorMessage": "Unable to marshal response"},
    {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": "exceeded maximum allowed payload size"},
    {"errorType": "Runtime.Unknown", "errorMessage": "?"},
    {},
]
INIT = ["Runtime.ImportModuleError", "Runtime.HandlerNotFound", "Runtime.UserCodeSyntaxError"]


class TestFunctionError:
    @pytest.mark.parametrize("body", GONE)
    def test_an_exit_a_timeout_and_no_memory_prove_that_the_sandbox_is_gone(self, body):
        reply = function_error(body, "abc")
        assert (reply.kind, reply.request_id) == (Kind.SANDBOX_GONE, "abc")
        assert body["errorMessage"] in reply.message
        assert not reply.proves_nothing_ran

    @pytest.mark.parametrize("body", ALIVE)
    def test_every_other_error_leaves_it_open(self, body):
        reply = function_error(body)
        assert reply.kind is Kind.FUNCTION_ERROR
        assert not reply.proves_nothing_ran

    @pytest.mark.parametrize("name", INIT)
    def test_an_error_at_import_proves_that_nothing_ran(self, name):
        reply = function_error({"errorType": name, "errorMessage": "Unable to import module 'app'"})
        assert reply.kind is Kind.FUNCTION_ERROR
        assert reply.proves_nothing_ran
        assert reply.message == f"{name}: Unable to import module 'app'"

    @pytest.mark.parametrize("raw", [b"", b"<html>", b"\xff\xfe", b"[]", b"null"])
    def test_an_error_that_cannot_be_read_leaves_it_open(self, raw):
        headers = CIMultiDict({"X-Amz-Function-Error": "Unhandled"})
        assert read_reply(200, headers, raw).kind is Kind.FUNCTION_ERROR

    def test_an_exception_of_the_handler_that_talks_of_a_timeout_leaves_it_open(self):
        body = {
            "errorType": "UpstreamError",
            "errorMessage": "Task timed out after 5 seconds",
            "stackTrace": ["f"],
        }
        assert function_error(body).kind is Kind.FUNCTION_ERROR


class TestApiError:
    @pytest.mark.parametrize(
        "reason",
        [
            "ConcurrentInvocationLimitExceeded",
            "ReservedFunctionConcurrentInvocationLimitExceeded",
            "ConcurrentSnapshotCreateLimitExceeded",
            "",
        ],
    )
    def test_too_many_at_once(self, reason):
        reply = api_error(429, "TooManyRequestsException", Reason=reason, message="Rate Exceeded.")
        assert reply.kind is Kind.THROTTLED
        assert reply.proves_nothing_ran

    @pytest.mark.parametrize(
        "reason",
        [
            "FunctionInvocationRateLimitExceeded",
            "ReservedFunctionInvocationRateLimitExceeded",
            "CallerRateLimitExceeded",
        ],
    )
    def test_too_many_a_second(self, reason):
        reply = api_error(429, "TooManyRequestsException", Reason=reason)
        assert reply.kind is Kind.RATE_LIMITED
        assert reply.proves_nothing_ran

    @pytest.mark.parametrize(
        ("status", "name"),
        [
            (502, "EC2ThrottledException"),
            (502, "EC2UnexpectedException"),
            (502, "ENILimitReachedException"),
            (502, "ENINotReadyException"),
            (502, "SubnetIPAddressLimitReachedException"),
            (502, "ResourceNotReadyException"),
            (409, "ResourceConflictException"),
            (409, "SnapStartNotReadyException"),
            (408, "SnapStartTimeoutException"),
            (408, "EFSMountTimeoutException"),
            (408, "EFSMountConnectivityException"),
        ],
    )
    def test_not_just_now(self, status, name):
        reply = api_error(status, name, Message="wait")
        assert reply.kind is Kind.NOT_READY
        assert reply.proves_nothing_ran
        assert reply.message == f"HTTP {status} {name} wait"

    @pytest.mark.parametrize(
        ("status", "name"),
        [
            (400, "InvalidRequestContentException"),
            (400, "RecursiveInvocationException"),
            (402, "ServiceQuotaExceededException"),
            (403, "AccessDeniedException"),
            (404, "ResourceNotFoundException"),
            (413, "RequestTooLargeException"),
            (415, "UnsupportedMediaTypeException"),
            (502, "EC2AccessDeniedException"),
            (502, "InvalidRuntimeException"),
            (502, "InvalidZipFileException"),
            (502, "InvalidSubnetIDException"),
            (502, "InvalidSecurityGroupIDException"),
            (502, "KMSAccessDeniedException"),
            (502, "KMSDisabledException"),
        ],
    )
    def test_not_until_someone_changes_something(self, status, name):
        reply = api_error(status, name, Message="no")
        assert reply.kind is Kind.MISCONFIGURED
        assert reply.proves_nothing_ran

    @pytest.mark.parametrize(
        ("status", "name", "advice"),
        [
            (404, "ResourceNotFoundException", "no. Deploy it, or correct its name or AWS_REGION"),
            (403, "AccessDeniedException", "no. Allow the poller lambda:InvokeFunction on it"),
            (403, "UnrecognizedClientException", "no. Look at the poller's AWS credentials"),
        ],
    )
    def test_what_to_change_is_said_where_it_is_known(self, status, name, advice):
        assert api_error(status, name, Message="no.").message.endswith(advice)

    @pytest.mark.parametrize("status", [500, 503, 504, 202, 302])
    def test_everything_else_leaves_it_open(self, status):
        reply = api_error(status, "ServiceException")
        assert reply.kind is Kind.UNKNOWN
        assert not reply.proves_nothing_ran

    def test_the_name_may_be_in_the_body(self):
        reply = read_reply(502, CIMultiDict(), b'{"__type":"ENINotReadyException","Message":"wait"}')
        assert reply.kind is Kind.NOT_READY

    @pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b"null"])
    def test_a_gateways_own_502_leaves_it_open(self, body):
        reply = read_reply(502, CIMultiDict(), body)
        assert reply.kind is Kind.UNKNOWN


@pytest.mark.parametrize(
    "error", [TimeoutError(), aiohttp.ServerDisconnectedError(), ConnectionResetError(104, "reset"), OSError()]
)
def test_an_answer_that_never_came_leaves_it_open_and_says_why(error):
    reply = lost(error)
    assert reply.kind is Kind.UNKNOWN
    assert reply.request_id == ""
    assert type(error).__name__ in reply.message
    assert not reply.message.endswith(":")


def test_a_reply_has_one_line_for_people():
    reply = lost(TimeoutError())
    assert "\n" not in reply.message
