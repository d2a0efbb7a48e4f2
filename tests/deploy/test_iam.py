"""Who may do what: a table, held against the policies of the stack as SAM's translator writes them.

The evaluator is ministack's, asked by IAM's own SimulatePrincipalPolicy: the roles are made there with the
policies that the stack would give them. The same questions could be put to AWS.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass

import pytest

from tests.deploy import island
from tests.deploy.emulator import emulator
from tests.deploy.translated import ACCOUNT, GUID, KEYS, KINDS, REGION, SECRET, STACK, Deployed, statements

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not island.possible(), reason="a network of one's own needs root"),
]

PRINCIPALS = {
    "worker": "WorkerFunctionRole",
    "scheduler": "SchedulerFunctionRole",
    "timer": "SchedulerFunctionEveryMinuteRole",
    "poller": "PollerTaskRole",
    "start": "PollerExecutionRole",
    "page": "WebFunctionRole",
}
"""`start` is ECS's own, when it starts the poller's task."""
ALONE = {"app": ["RedisAccess", "KeysAccess"], "viewer": ["WebAccess"]}
"""Who has policies of the stack's and nothing else: the app that enqueues, and who opens the web page."""
TRUSTED = {
    "worker": "lambda.amazonaws.com",
    "scheduler": "lambda.amazonaws.com",
    "timer": "scheduler.amazonaws.com",
    "poller": "ecs-tasks.amazonaws.com",
    "start": "ecs-tasks.amazonaws.com",
    "page": "lambda.amazonaws.com",
}


def arn(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


WORKER, SCHEDULER = arn("lambda", f"function:{STACK}-worker"), arn("lambda", f"function:{STACK}-scheduler")
OTHER_FUNCTION = arn("lambda", "function:other:live")
OTHER_SECRET = arn("secretsmanager", "secret:shop/redis2-AbCdEf")
POLLER_LOG = arn("logs", f"log-group:/sidelamb/{STACK}/poller:log-stream:poller/1")
WORKER_LOG = arn("logs", f"log-group:/sidelamb/{STACK}/worker:log-stream:1")
PAGE = arn("lambda", f"function:{STACK}-web")
BUNDLE = arn("lambda", f"layer:{STACK}-poller:1")
NODES, SERVERLESS = (
    arn("elasticache", "replicationgroup:shop-RedisNodes"),
    arn("elasticache", f"serverlesscache:c{GUID}"),
)
OTHER_CACHE = arn("elasticache", "replicationgroup:other")
USER, OTHER_USER = arn("elasticache", f"user:u{GUID}"), arn("elasticache", "user:default")
ROLE = f"arn:aws:iam::{ACCOUNT}:role/shop-WorkerFunctionRole"
EVERYBODY = [*PRINCIPALS, *ALONE]


@dataclass(frozen=True)
class Row:
    """One line of the table: whether some may do something, with a Redis of these kinds."""

    who: str
    action: str
    resource: str
    allowed: bool
    kinds: str = "url secret nodes serverless"


def rows(
    who: str, action: str, allowed: str = "", denied: str = "", kinds: str = "url secret nodes serverless"
) -> list[Row]:
    found = [
        Row(one, action, resource, allowed=True, kinds=kinds)
        for one in who.split()
        for resource in allowed.split()
    ]
    return found + [
        Row(one, action, resource, allowed=False, kinds=kinds)
        for one in who.split()
        for resource in denied.split()
    ]


ALL = " ".join(EVERYBODY)
TABLE = [
    # invoke: the poller exactly the two aliases, the timer exactly the scheduler, nobody else anything
    *rows(
        "poller",
        "lambda:InvokeFunction",
        f"{WORKER}:live {SCHEDULER}:live",
        f"{WORKER} {SCHEDULER} {WORKER}:1 {OTHER_FUNCTION}",
    ),
    *rows("timer", "lambda:InvokeFunction", f"{SCHEDULER}:live", f"{WORKER}:live {SCHEDULER} {OTHER_FUNCTION}"),
    *rows(
        "worker scheduler start app page viewer",
        "lambda:InvokeFunction",
        "",
        f"{WORKER}:live {SCHEDULER}:live {OTHER_FUNCTION}",
    ),
    *rows("poller", "lambda:GetLayerVersion", BUNDLE, arn("lambda", "layer:other:1")),
    *rows("worker scheduler timer start app page viewer", "lambda:GetLayerVersion", "", BUNDLE),
    # the page: with an event of one's own making nobody. That a viewer comes in by its URL is the emulator's to
    # show, for here it is asked without the context that AWS has then
    *rows(ALL, "lambda:InvokeFunction", "", PAGE),
    *rows(ALL, "lambda:InvokeFunctionUrl", "", f"{WORKER} {SCHEDULER} {OTHER_FUNCTION}"),
    # the secret: the functions and the start of the poller read exactly it, the poller has it from ECS
    *rows("worker scheduler start app page", "secretsmanager:GetSecretValue", SECRET, OTHER_SECRET, "secret"),
    *rows("poller timer viewer", "secretsmanager:GetSecretValue", "", f"{SECRET} {OTHER_SECRET}"),
    *rows(
        "worker scheduler start app page",
        "secretsmanager:GetSecretValue",
        "",
        f"{SECRET} {OTHER_SECRET}",
        "url nodes serverless",
    ),
    # the keys of encrypted jobs: the worker and the app
    *rows("worker app", "secretsmanager:GetSecretValue", KEYS, "", "secret"),
    *rows("worker app", "secretsmanager:GetSecretValue", "", KEYS, "url nodes serverless"),
    *rows("scheduler poller timer start page viewer", "secretsmanager:GetSecretValue", "", KEYS),
    *(
        row
        for action in ("PutSecretValue", "ListSecrets", "DescribeSecret")
        for row in rows(ALL, f"secretsmanager:{action}", "", f"{SECRET} {KEYS}")
    ),
    # a Redis of the stack's own: exactly it, as exactly its user
    *rows(
        "worker scheduler poller app page",
        "elasticache:Connect",
        f"{NODES} {USER}",
        f"{SERVERLESS} {OTHER_CACHE} {OTHER_USER}",
        "nodes",
    ),
    *rows(
        "worker scheduler poller app page",
        "elasticache:Connect",
        f"{SERVERLESS} {USER}",
        f"{NODES} {OTHER_CACHE} {OTHER_USER}",
        "serverless",
    ),
    *rows("timer start viewer", "elasticache:Connect", "", f"{NODES} {SERVERLESS} {USER}"),
    *rows(ALL, "elasticache:Connect", "", f"{NODES} {SERVERLESS} {USER}", "url secret"),
    *rows(ALL, "elasticache:DeleteReplicationGroup", "", NODES),
    *rows(ALL, "elasticache:ModifyUser", "", USER),
    # logs: Lambda's roles by AWS's own managed policy, which is of every log group; the poller's start of its own
    *rows("worker scheduler page", "logs:PutLogEvents", WORKER_LOG),
    *rows("start", "logs:PutLogEvents", POLLER_LOG, WORKER_LOG),
    *rows("poller timer app viewer", "logs:PutLogEvents", "", f"{POLLER_LOG} {WORKER_LOG}"),
    *(
        row
        for action in ("DeleteLogGroup", "FilterLogEvents", "PutRetentionPolicy")
        for row in rows(ALL, f"logs:{action}", "", WORKER_LOG)
    ),
    # networks: the functions their interfaces, again by AWS's managed policy
    *rows("worker scheduler page", "ec2:CreateNetworkInterface", "*"),
    *rows("poller timer start app viewer", "ec2:CreateNetworkInterface", "", "*"),
    *rows(ALL, "ec2:AuthorizeSecurityGroupIngress", "", "*"),
    # what would make more of it
    *(
        row
        for action, resource in (
            ("iam:PassRole", ROLE),
            ("iam:CreateRole", ROLE),
            ("iam:PutRolePolicy", ROLE),
            ("iam:AttachRolePolicy", ROLE),
            ("sts:AssumeRole", ROLE),
            ("lambda:UpdateFunctionCode", WORKER),
            ("lambda:UpdateFunctionConfiguration", WORKER),
            ("lambda:UpdateAlias", WORKER),
            ("lambda:GetFunction", WORKER),
            ("lambda:UpdateFunctionUrlConfig", PAGE),
            ("lambda:AddPermission", PAGE),
            ("ecs:UpdateService", arn("ecs", f"service/{STACK}-poller/{STACK}-poller")),
            ("ecs:RunTask", arn("ecs", f"task-definition/{STACK}-poller:1")),
            ("ecs:ExecuteCommand", arn("ecs", f"cluster/{STACK}-poller")),
            ("scheduler:UpdateSchedule", arn("scheduler", f"schedule/default/{STACK}-every-minute")),
            ("cloudformation:UpdateStack", arn("cloudformation", f"stack/{STACK}/{GUID}")),
            ("kms:Decrypt", arn("kms", "key/1")),
            ("ssm:GetParameter", arn("ssm", "parameter/any")),
            ("s3:GetObject", "arn:aws:s3:::any/thing"),
            ("dynamodb:GetItem", arn("dynamodb", "table/any")),
            ("sqs:SendMessage", arn("sqs", "any")),
            ("ecr:GetAuthorizationToken", "*"),
        )
        for row in rows(ALL, action, "", resource)
    ),
]


class Evaluator:
    """IAM with the roles of a stack in it."""

    def __init__(self, iam) -> None:
        self._iam = iam
        self._arns: dict[str, str] = {}

    def has(self, stack: Deployed, prefix: str) -> None:
        """Make the stack's roles, and one for each who has a policy of its alone."""
        policies = {
            name: self._policy(f"{prefix}-{name}", one["PolicyDocument"]) for name, one in managed(stack).items()
        }
        for who, role in PRINCIPALS.items():
            said = stack.resources[role]["Properties"]
            inline = [one["PolicyDocument"] for one in said.get("Policies", [])]
            attached = list(said.get("ManagedPolicyArns", []))
            attached += [
                policies[name] for name, one in managed(stack).items() if f"{STACK}-{role}" in one.get("Roles", [])
            ]
            self._role(who, f"{prefix}-{who}", said["AssumeRolePolicyDocument"], inline, attached)
        trust = stack.resources["WorkerFunctionRole"]["Properties"]["AssumeRolePolicyDocument"]
        for who, theirs in ALONE.items():
            attached = [policies[policy] for policy in theirs if policy in policies]
            self._role(who, f"{prefix}-{who}", trust, [], attached)

    def may(self, who: str, resource: str, actions: list[str]) -> dict[str, bool]:
        """Return which of these is allowed."""
        answers = self._iam.simulate_principal_policy(
            PolicySourceArn=self._arns[who], ActionNames=actions, ResourceArns=[resource]
        )["EvaluationResults"]
        assert {one["EvalDecision"] for one in answers} <= {"allowed", "implicitDeny", "explicitDeny"}
        return {one["EvalActionName"]: one["EvalDecision"] == "allowed" for one in answers}

    def _policy(self, name: str, document) -> str:
        made = self._iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(document))
        return str(made["Policy"]["Arn"])

    def _role(self, who: str, name: str, trust, inline, attached) -> None:
        made = self._iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        self._arns[who] = made["Role"]["Arn"]
        for n, document in enumerate(inline):
            versioned = {"Version": "2012-10-17"} | document
            self._iam.put_role_policy(RoleName=name, PolicyName=f"p{n}", PolicyDocument=json.dumps(versioned))
        for policy in attached:
            self._iam.attach_role_policy(RoleName=name, PolicyArn=policy)


def managed(stack: Deployed) -> dict[str, dict]:
    return stack.of_type("AWS::IAM::ManagedPolicy")


@pytest.fixture(scope="module")
def iam(tmp_path_factory):
    with emulator(tmp_path_factory.mktemp("iam")) as aws:
        yield aws.client("iam")


def wrong(iam, stack: Deployed, kind: str, prefix: str) -> list[str]:
    """The lines of the table that do not hold."""
    evaluator = Evaluator(iam)
    evaluator.has(stack, prefix)
    asked: dict[tuple[str, str], dict[str, bool]] = {}
    for row in TABLE:
        if kind in row.kinds.split():
            asked.setdefault((row.who, row.resource), {})[row.action] = row.allowed
    return [
        f"{who} {action} {resource}"
        for (who, resource), expected in asked.items()
        for action, allowed in evaluator.may(who, resource, list(expected)).items()
        if allowed is not expected[action]
    ]


@pytest.mark.parametrize("kind", ["url", "secret", "nodes", "serverless"])
def test_the_table_holds(iam, kind):
    assert wrong(iam, Deployed(WebPage="full", **KINDS[kind]), kind, kind) == []


def poller_invokes_all(stack):
    policy(stack, "PollerTaskRole")["Statement"][0]["Resource"] = "*"


def poller_invokes_any_version(stack):
    said = policy(stack, "PollerTaskRole")["Statement"][0]
    said["Resource"] = [f"{one}*".replace(":live*", "*") for one in said["Resource"]]


def timer_invokes_the_worker(stack):
    statement = policy(stack, "SchedulerFunctionEveryMinuteRole")["Statement"][0]
    statement["Resource"] = f"{WORKER}:live"


def start_reads_every_secret(stack):
    for statement in policy(stack, "PollerExecutionRole")["Statement"]:
        if statement["Action"] == "secretsmanager:GetSecretValue":
            statement["Resource"] = "*"


def functions_read_secrets_alike_in_name(stack):
    managed(stack)["RedisAccess"]["PolicyDocument"]["Statement"][0]["Resource"] = arn(
        "secretsmanager", "secret:shop/*"
    )


def worker_passes_roles(stack):
    statement = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*"}
    stack.resources["WorkerFunctionRole"]["Properties"].setdefault("Policies", []).append(
        {"PolicyName": "more", "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
    )


def poller_reads_the_secret_too(stack):
    managed(stack)["RedisAccess"]["Roles"].append(f"{STACK}-PollerTaskRole")


def scheduler_reads_the_keys(stack):
    managed(stack)["KeysAccess"]["Roles"].append(f"{STACK}-SchedulerFunctionRole")


def nobody_reads_the_secret(stack):
    managed(stack)["RedisAccess"]["Roles"].clear()


def who_looks_may_make_an_event_of_their_own(stack):
    del managed(stack)["WebAccess"]["PolicyDocument"]["Statement"][1]["Condition"]


MISTAKES = [
    poller_invokes_all,
    poller_invokes_any_version,
    timer_invokes_the_worker,
    start_reads_every_secret,
    functions_read_secrets_alike_in_name,
    worker_passes_roles,
    poller_reads_the_secret_too,
    scheduler_reads_the_keys,
    nobody_reads_the_secret,
    who_looks_may_make_an_event_of_their_own,
]


def policy(stack, role):
    return stack.resources[role]["Properties"]["Policies"][0]["PolicyDocument"]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_the_table_finds_a_mistake(iam, mistake):
    stack = copy.deepcopy(Deployed(WebPage="full", **KINDS["secret"]))
    mistake(stack)
    assert wrong(iam, stack, "secret", mistake.__name__.replace("_", "-"))


def test_every_role_of_the_stack_is_in_the_table():
    for kind in KINDS:
        roles = set(Deployed(WebPage="full", **KINDS[kind]).of_type("AWS::IAM::Role"))
        assert roles == set(PRINCIPALS.values())


def test_each_role_is_taken_by_its_service_and_nobody_else():
    stack = Deployed(WebPage="full", **KINDS["nodes"])
    for who, role in PRINCIPALS.items():
        (said,) = statements(stack.resources[role]["Properties"]["AssumeRolePolicyDocument"])
        services = said["Principal"]["Service"]
        assert set(said["Principal"]) == {"Service"}
        assert ([services] if isinstance(services, str) else services) == [TRUSTED[who]]


def test_with_an_image_of_ones_own_the_start_may_pull_and_nothing_else(iam):
    evaluator = Evaluator(iam)
    image = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/poller:1"
    stack = Deployed(PollerImage=image, WebPage="full", **KINDS["url"])
    evaluator.has(stack, "image")
    repository = arn("ecr", "repository/poller")
    for action, resource, allowed in (
        ("ecr:GetAuthorizationToken", "*", True),
        ("ecr:BatchGetImage", repository, True),
        ("ecr:GetDownloadUrlForLayer", repository, True),
        ("ecr:PutImage", repository, False),
        ("ecr:DeleteRepository", repository, False),
    ):
        assert evaluator.may("start", resource, [action]) == {action: allowed}
        assert evaluator.may("poller", resource, [action]) == {action: False}
