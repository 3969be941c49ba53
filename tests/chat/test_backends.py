"""Both backends on the real demo model: they count alike, stream, and keep a conversation's
promise."""

from collections.abc import Iterator

import pytest

from oomph.chat.backends import ChatBackend, LocalBackend, ServerBackend
from oomph.chat.budget import Budget, Message
from oomph.chat.history import History
from oomph.chat.loop import Conversation, Memory
from oomph.errors import ConfigError, ModelFileError, ToolchainError
from oomph.measure.server_run import find_server, serving
from oomph.models.demo import demo_model

pytestmark = pytest.mark.llama

N_CTX = 512
QUESTION = [Message("user", "What is the capital of France? Answer briefly.")]


@pytest.fixture(scope="module")
def local() -> ChatBackend:
    return LocalBackend(demo_model(), n_ctx=N_CTX, temperature=0.0, n_threads=1)


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    try:
        program = find_server()
    except ToolchainError as error:
        pytest.skip(str(error))
    with serving(
        [program, "-m", demo_model(), "-c", str(N_CTX), "-np", "1", "-t", "1", "--no-warmup"]
    ) as server:
        assert server.await_health(60.0) is not None
        yield server.url


@pytest.fixture(scope="module")
def remote(server_url: str) -> ChatBackend:
    return ServerBackend(server_url, temperature=0.0)


def test_the_same_model_counts_and_answers_alike_in_process_and_over_http(
    local: ChatBackend, remote: ChatBackend
) -> None:
    assert (local.n_ctx, remote.n_ctx) == (N_CTX, N_CTX)
    for text in ("The secret code of Marta is 4821.", "Секретный код Марты", "<|im_start|>"):
        assert local.count(text) == remote.count(text) > 0
    answers = ["".join(backend.stream(QUESTION, n_answer=12)) for backend in (local, remote)]
    assert all("Paris" in answer for answer in answers), answers


@pytest.mark.parametrize("which", ["local", "remote"])
def test_a_fact_that_left_the_window_is_answered_from_the_history(
    which: str, request: pytest.FixtureRequest
) -> None:
    backend: ChatBackend = request.getfixturevalue(which)
    with History(":memory:") as history:
        talk = Conversation(backend, history)
        talk.tell("Please remember: The secret code of Marta is 4821.", "I will remember that.")
        for number in range(40):
            talk.tell(f"The sea was calm on day number {number} of the month.", "I see.")
        question = "What is the secret code of Marta? Answer briefly."
        forgetful = Conversation(backend, history, memory=Memory(recall=False))
        assert not any("4821" in message.content for message in forgetful.messages(question))
        pieces = list(talk.say(question))
        assert "4821" in "".join(pieces)
        assert len(pieces) > 2, "the answer comes in pieces"
        assert "4821" in (history.finished()[-1].answer or "")


def test_a_template_takes_no_more_than_is_reckoned_with(local: LocalBackend) -> None:
    with History(":memory:") as history:
        talk = Conversation(local, history)
        for number in range(60):
            talk.tell(
                f"Number {number}?", "Yes."
            )  # short messages: what surrounds them weighs most
        prompt = talk.messages("And now?")
        answer = local._llama.create_chat_completion(
            [{"role": message.role, "content": message.content} for message in prompt], max_tokens=1
        )
        assert answer["usage"]["prompt_tokens"] <= Budget.of(N_CTX).n_prompt


def test_what_is_not_there_is_one_sentence(server_url: str, tmp_path: object) -> None:
    with pytest.raises(ConfigError, match=r"no llama-server answers at http://127\.0\.0\.1:1"):
        ServerBackend("http://127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"a slot of .* has 512; start it with a larger -c"):
        ServerBackend(server_url, n_ctx=1024)
    with pytest.raises(ModelFileError, match=r"nowhere\.gguf cannot be run"):
        LocalBackend(tmp_path / "nowhere.gguf", n_ctx=256)  # type: ignore[operator]
