"""A model's tokenizer for the items of tasks: texts to tokens, prompts in its chat template."""

from collections.abc import Iterable, Sequence
from typing import Any

from oomph.measure.worker.answering import split_chat, text_of
from oomph.measure.worker.layout import Pools, item_name, lay_out
from oomph.measure.worker.protocol import LaidOut, TaskAsked, TaskText
from oomph.measure.worker.quality import tokenize


class Vocabulary:
    """The tokens of a loaded model's texts; the weights need not be there."""

    def __init__(self, api: Any, model: Any) -> None:
        self._api, self._model = api, model
        self._vocab = api.llama_model_get_vocab(model)
        self._adds_space = self.text([*tokenize(api, model, "a", begins=False)]).startswith(" ")

    def words(self, text: str) -> list[int]:
        """The tokens of words within a text: control tokens in them are words, and a blank that the
        tokenizer puts first of its own stands for the text's own."""
        own = text[1:] if self._adds_space and text.startswith(" ") else text
        return tokenize(self._api, self._model, own, begins=False)

    def rendered(self, text: str, *, begins: bool = False) -> list[int]:
        """The tokens of what a template put there."""
        return tokenize(self._api, self._model, text, begins=begins, chat=True)

    def text(self, tokens: Iterable[int]) -> str:
        """What tokens stand for; control tokens for nothing."""
        written = b"".join(text_of(self._api, self._vocab, token) for token in tokens)
        return written.decode(errors="replace")


class Layout:
    """Items of tasks as prompts of one model, through its chat template."""

    def __init__(
        self, vocabulary: Vocabulary, chat: tuple[str, str], pools: dict[str, list[str]]
    ) -> None:
        self._vocabulary, self._chat = vocabulary, chat
        self._before = vocabulary.rendered(chat[0], begins=True)
        self._after = vocabulary.rendered(chat[1])
        self._pools = Pools(pools, vocabulary.words)

    def prompt(self, item: TaskAsked) -> LaidOut | None:
        """The item's prompt and its name; None where its length is too short for it."""
        n_around = len(self._before) + len(self._after)
        words = lay_out(item, self._pools, self._vocabulary.words, n_around=n_around)
        if words is None:
            return None
        tokens = [*self._before, *words, *self._after]
        return {
            "tokens": tokens,
            "words": words,
            "item": item_name(tokens, item["expected"]),
        }

    def text_of(self, prompt: LaidOut) -> TaskText:
        """The prompt as texts."""
        words = self._vocabulary.text(prompt["words"])
        return {
            "item": prompt["item"],
            "n_prompt": len(prompt["tokens"]),
            "words": words,
            "prompt": f"{self._chat[0]}{words}{self._chat[1]}",
        }


def layout_of(api: Any, model: Any, pools: dict[str, list[str]]) -> Layout | None:
    """The layout of this model's prompts; None without a chat template that llama.cpp knows."""
    chat = split_chat(api, model)
    return None if chat is None else Layout(Vocabulary(api, model), chat, pools)


def too_short(left_out: Sequence[TaskAsked]) -> str | None:
    """What is said of items that their lengths cannot hold; None where there are none."""
    if not left_out:
        return None
    lengths = sorted({item["n_tokens"] for item in left_out})
    tasks = sorted({item["task"] for item in left_out})
    return f"{', '.join(tasks)}: {', '.join(map(str, lengths))} tokens are too few for what is told"
