"""Send files to a model's repository on the Hugging Face hub, as a pull request, with the user's own token."""

from mlc_bench.core import secrets
from mlc_bench.core.errors import PrerequisiteError, UsageError
from mlc_bench.core.progress import say
from mlc_bench.export import to_hub
from mlc_bench.export.formats import Files
from mlc_bench.records.record import RunRecord


def repository(record: RunRecord, named: str | None) -> str:
    """Where the results belong. Raises UsageError where that is not known: a folder, a server, an adapter."""
    if named is not None:
        return to_hub.check_repository(named, "--repo")
    if record.model.resolved_revision is None or record.model.adapter is not None:
        raise UsageError("--push needs the model's repository: add --repo OWNER/NAME")
    return to_hub.check_repository(record.model.name, "the model")


def check_token() -> None:
    """Raises PrerequisiteError without a token of the hub."""
    from huggingface_hub import get_token

    if not get_token():
        raise PrerequisiteError("--push needs your token of the hub; log in: hf auth login")


def send(content: Files, repo: str) -> str:
    """Open a pull request with the files; its address. A model card that is there already stays as it is.

    Raises UsageError where nothing is left to send, PrerequisiteError where the hub refuses or is not reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    api = HfApi()
    try:
        sent = dict(content)
        if to_hub.CARD in sent and api.file_exists(repo, to_hub.CARD):
            say(f"{repo} has a model card, which stays: {to_hub.CARD} is not sent")
            del sent[to_hub.CARD]
        if not sent:
            raise UsageError(f"nothing to send to {repo}: it has a model card; add --benchmark OWNER/NAME for results")
        made = api.create_commit(
            repo_id=repo,
            operations=[CommitOperationAdd(path_in_repo=path, path_or_fileobj=text) for path, text in sent.items()],
            commit_message="Add results of mlc-bench",
            create_pr=True,
        )
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError) as error:
        reason = secrets.text(" ".join(str(error).split()))[:200]
        raise PrerequisiteError(
            f"{repo}: the hub did not take the results ({reason}); check --repo and token"
        ) from None
    return str(made.pr_url or made.commit_url)
