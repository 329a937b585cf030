"""The task of texts: what it learns from, what it reports, and its files."""

import csv
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from tests.trainables.text.made_up import WORDS, made_up
from trainables.data.dataset import Dataset
from trainables.text import preparation
from trainables.text.config import TextConfig
from trainables.text.task import TextData
from trainables.text.text_classifier import TextClassifier
from trainables.text.texts import Texts
from trainables.text.tokens import Words
from trainables.training.loop import fit
from trainables.training.state import save_state

SMALL = {
    "embedding_size": 16,
    "hidden_size": 8,
    "batch_size": 16,
    "optimizer": "adam",
    "learning_rate": 0.03,
    "epochs": 3,
}


@pytest.fixture(scope="module")
def data():
    return made_up()


def config_of(**changes):
    return TextConfig.from_dict({**SMALL, **changes})


def words_of(task):
    found = task._prepared.preparation.tokenizer
    assert isinstance(found, Words)
    return found


def last(data, **changes):
    *_, (metrics, _) = fit(config_of(**changes), TextData(data))
    return metrics


@pytest.mark.parametrize("model", ["bag", "lstm", "transformer"])
def test_every_network_learns_what_tells_the_classes(data, model):
    assert last(data, model=model, epochs=6)["val_accuracy"] > 0.8


@pytest.mark.parametrize("tokenizer", ["words", "characters", "byte_pairs"])
def test_it_learns_from_any_tokens(data, tokenizer):
    pytest.importorskip("tokenizers")
    metrics = last(data, tokenizer=tokenizer, vocabulary_size=400, model="bag", epochs=9)
    assert metrics["train_loss"] < 0.9


def test_what_validation_texts_alone_have_is_unknown(data):
    leaked = data.inputs.strings()
    leaked[data.train_count :] = [f"leak leak {t}" for t in leaked[data.train_count :]]
    other = replace(data, inputs=Texts.of(leaked))
    for folds in (0, 3):
        for task, same in zip(
            TextData(other).tasks(config_of(folds=folds)),
            TextData(data).tasks(config_of(folds=folds)),
            strict=True,
        ):
            words = task.model[0].vocabulary, same.model[0].vocabulary
            assert folds or torch.equal(*words)
    (fold, *others) = TextData(other).tasks(config_of(folds=2))
    known = [b'"leak"' in t.model[0].vocabulary.numpy().tobytes() for t in (fold, *others)]
    # The leak is in the second block, on which the first network alone is not trained.
    assert known == [True, False]


def test_batches_have_all_texts_once_of_like_length_and_another_order_in_each_epoch(data):
    (task,) = TextData(data).tasks(config_of())
    sizes = [16] * 9
    epochs = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        epochs.append(list(task.batches(sizes)))
        assert [len(batch.targets) for batch in epochs[-1]] == sizes
    rows = [
        sorted(tuple(r[r != 0].tolist()) for batch in epoch for r in batch.inputs)
        for epoch in epochs
    ]
    assert rows[0] == rows[1]
    assert not all(
        a.inputs.shape == b.inputs.shape and torch.equal(a.inputs, b.inputs)
        for a, b in zip(*epochs, strict=True)
    )
    filled = np.mean([float((batch.inputs == 0).float().mean()) for batch in epochs[1]])
    assert task.facts["padding_share"] == pytest.approx(filled, abs=0.02)
    assert task.facts["padding_share"] < 0.1
    whole = task.validation.inputs
    assert float((whole == 0).float().mean()) > 0.3


def test_texts_are_cut_at_the_quantile_of_the_training_lengths(data):
    lengths = [len(text.split()) for text in data.train.inputs.strings()]
    metrics = last(data, length_quantile=0.5, epochs=1, model="bag")
    assert metrics["text_length"] == np.quantile(lengths, 0.5, method="higher")
    assert metrics["truncated_share"] == np.mean(np.array(lengths) > metrics["text_length"])
    assert last(data, max_length=4, epochs=1, model="bag")["text_length"] == 4


def test_trials_of_equal_options_share_a_preparation(data, monkeypatch):
    TextData(data).tasks(config_of())
    monkeypatch.setattr(preparation, "split", None)
    monkeypatch.setattr(preparation, "cleaned", None)
    TextData(data).tasks(config_of(hidden_size=4, learning_rate=0.1, min_count=3))
    with pytest.raises(TypeError):
        TextData(data).tasks(config_of(lowercase=False))


def test_a_text_without_a_word_is_one_unknown_token(data):
    texts = data.inputs.strings()
    texts[0] = "<br/>\u200b"
    found = replace(data, inputs=Texts.of(texts))
    (task,) = TextData(found).tasks(config_of())
    assert task._prepared.ids[0].tolist()[:2] == [1, 0]
    assert np.isfinite(last(found)["val_loss"])


def test_a_vocabulary_without_a_word_is_refused(data):
    with pytest.raises(ValueError, match="min_count 999: none of the words"):
        TextData(data).tasks(config_of(min_count=999))


def test_pretrained_vectors_are_the_known_words_own(data, tmp_path):
    file = tmp_path / "vectors.txt"
    vector = " ".join(["0.5"] * 16)
    file.write_text(f"3 16\ngreat {vector}\nawful {vector}\nunheard {vector}\n")
    config = config_of(embeddings=str(file))
    TextData(data).check(config)
    (task,) = TextData(data).tasks(config)
    assert task.facts["embeddings_found"] == 2
    weight = task.model[0].embedding.weight
    assert int((weight == 0.5).all(dim=1).sum()) == 2
    with pytest.raises(ValueError, match="its vectors have 16 numbers, embedding_size is 32"):
        TextData(data).check(replace(config, embedding_size=32))
    file.write_text(f"great {vector}\nawful 0.5 nan\n")
    with pytest.raises(ValueError, match=r"vectors\.txt, line 2"):
        TextData(data).tasks(replace(config, embeddings=str(file), seed=1, min_count=1))
    for name in ("embeddings", "synonyms", "paraphrases"):
        with pytest.raises(ValueError, match="must be an absolute path"):
            TextData(data).check(config_of(**{name: "words.txt"}))


def test_synonyms_of_a_file_replace_words_in_training_alone(data, tmp_path):
    file = tmp_path / "synonyms.tsv"
    file.write_text("great\tfine, bright, unheard\nnever\tseldom\n")
    config = config_of(synonyms=str(file), synonym_share=0.9)
    TextData(data).check(config)
    (task,), (plain,) = (TextData(data).tasks(c) for c in (config, config_of()))

    def count(task, word):
        torch.manual_seed(0)
        known = words_of(task).id_of(word)
        return sum(int((b.inputs == known).sum()) for b in task.batches([16] * 9))

    assert count(task, "great") < count(plain, "great") / 2
    assert count(task, "fine") > count(plain, "fine")
    assert count(task, "dull") == count(plain, "dull")
    assert torch.equal(task.validation.inputs, plain.validation.inputs)
    file.write_text("")
    with pytest.raises(ValueError, match="has no line"):
        TextData(data).check(config)


def test_wordnet_without_its_data_is_an_error_with_the_command(data, monkeypatch, tmp_path):
    nltk = pytest.importorskip("nltk")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    with pytest.raises(ValueError, match=r"python -m nltk\.downloader wordnet"):
        TextData(data).check(config_of(synonyms="wordnet", synonym_share=0.1))


def test_paraphrases_replace_training_texts(data, tmp_path):
    file = tmp_path / "pairs.csv"
    train, held_out = data.train.inputs.strings(), data.validation.inputs.strings()
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["text", "paraphrase"])
        writer.writerows([text, "weird weird weird"] for text in [*train[:50], *held_out])
    config = config_of(paraphrases=str(file), paraphrase_share=0.99)
    TextData(data).check(config)
    (task,) = TextData(data).tasks(config)
    torch.manual_seed(0)
    batches = [row[row != 0].tolist() for b in task.batches([16] * 9) for row in b.inputs]
    weird = words_of(task).id_of("weird")
    assert 45 <= batches.count([weird] * 3) <= 50
    file.write_text("text,paraphrase\nunheard,unheard of\n")
    with pytest.raises(ValueError, match="has none of the 144 training texts"):
        TextData(data).tasks(replace(config, min_count=3))
    file.write_text("text\na\n")
    with pytest.raises(ValueError, match="row 1: needs a text and a paraphrase"):
        TextData(data).check(config)


def test_pretrained_weights_bring_their_vocabulary(data, tmp_path):
    *_, (before, state) = fit(config_of(), TextData(data))
    save_state(state, tmp_path / "state.pt")
    # Other texts of the same words: classes by another word, and two of them.
    few = made_up(count=60)
    other = replace(few, targets=few.targets % 2, class_names=("even", "odd"))
    tuned = config_of(pretrained=str(tmp_path), freeze_epochs=1, epochs=4, learning_rate=0.01)
    TextClassifier.check_config(asdict(tuned), other)
    (task,) = TextData(other).tasks(tuned)
    assert torch.equal(task.model[0].vocabulary, state.networks[0].model["0.vocabulary"])
    *_, (after, _) = fit(tuned, TextData(other))
    assert after["vocabulary_tokens"] == before["vocabulary_tokens"]
    assert after["val_accuracy"] > 0.8
    for change, said in (({"lowercase": False}, "lowercase=True"), ({"model": "bag"}, "another")):
        with pytest.raises(ValueError, match=said):
            TextClassifier.check_config(asdict(replace(tuned, **change)), other)
    torch.save({"0.weight": torch.zeros(2, 2)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="has no vocabulary"):
        TextClassifier.check_config(
            asdict(replace(tuned, pretrained=str(tmp_path / "other.pt"))), other
        )


def test_a_resume_with_another_vocabulary_is_refused(data):
    _, state = next(fit(config_of(), TextData(data)))
    words = sorted(WORDS["good"])
    texts = [text.replace(words[0], "unheard") for text in data.inputs.strings()]
    other = replace(data, inputs=Texts.of(texts))
    with pytest.raises(ValueError, match=r"another vocabulary|another model"):
        next(fit(config_of(), TextData(other), state))


@pytest.mark.parametrize("targets", ["classes", "numbers"])
def test_a_linear_model_is_beside_the_best(targets):
    data = made_up(targets)
    dataset = Dataset(
        name="made up", search=data, test=data.validation, notice="", source="", fingerprint=""
    )
    for on_test, prefix in ((False, "val_"), (True, "test_")):
        constant, linear = TextClassifier.baselines(dataset, on_test=on_test).items()
        assert "TF-IDF" in linear[0]
        name, better = {"classes": ("accuracy", 1), "numbers": ("rmse", -1)}[targets]
        scores = [float(found[1][prefix + name]) for found in (constant, linear)]
        assert better * scores[1] > better * scores[0]
        assert constant[1].keys() == linear[1].keys(), "each metric of a study has its baseline"


def test_missing_libraries_and_values_that_do_not_fit_are_refused():
    for change, said in (
        ({"model": "transformer", "heads": 3}, "heads must divide embedding_size"),
        ({"embedding_size": 3}, "embedding_size must be even"),
        ({"synonym_share": 0.1}, "synonym_share needs synonyms"),
        ({"paraphrase_share": 0.1}, "paraphrase_share needs paraphrases"),
        ({"embeddings": "/v.txt", "tokenizer": "byte_pairs"}, "embeddings needs tokenizer"),
    ):
        with pytest.raises(ValueError, match=said):
            TextConfig.from_dict(change)
