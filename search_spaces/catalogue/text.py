"""Hyperparameters of networks on texts: cleaning, tokens, the network and its augmentation."""

from dataclasses import replace

from search_spaces.catalogue import training
from search_spaces.hyperparameter import Hyperparameter

TEXT_MODEL = Hyperparameter(
    name="model",
    meaning="kind of network on texts",
    default="lstm",
    kind="network",
    role="scientific",
    advice="the bag first, a hundred times as fast and seldom far behind (Joulin et al. 2017); the "
    "LSTM where order counts; the transformer for many texts",
    values=("bag", "lstm", "transformer"),
)

EMBEDDING_SIZE = Hyperparameter(
    name="embedding_size",
    meaning="size of a token's vector",
    default=128,
    kind="network",
    role="scientific",
    advice="50 to 300, less for few texts; that of pretrained vectors if they are given",
    values=(32, 64, 128, 256),
    ordered=True,
)

HIDDEN_SIZE = Hyperparameter(
    name="hidden_size",
    meaning="units of the LSTM in each direction",
    default=128,
    kind="network",
    role="scientific",
    advice="64 to 512; the time of an epoch rises with its square",
    values=(32, 64, 128, 256),
    ordered=True,
    condition=("model", ("lstm",)),
)

LAYERS = Hyperparameter(
    name="layers",
    meaning="layers of the LSTM or the transformer",
    default=1,
    kind="network",
    role="scientific",
    advice="1 or 2 for an LSTM, 2 to 6 for a transformer that is trained from scratch",
    values=(1, 2, 3, 4),
    ordered=True,
    condition=("model", ("lstm", "transformer")),
)

BIDIRECTIONAL = Hyperparameter(
    name="bidirectional",
    meaning="whether the LSTM reads a text in both directions",
    default=True,
    kind="network",
    advice="both (Graves and Schmidhuber 2005), unless texts are to be judged while they arrive",
    values=(True, False),
    condition=("model", ("lstm",)),
)

HEADS = Hyperparameter(
    name="heads",
    meaning="attention heads of a layer",
    default=4,
    kind="network",
    advice="32 to 64 dimensions a head (Vaswani et al. 2017, table 3)",
    values=(1, 2, 4, 8),
    ordered=True,
    condition=("model", ("transformer",)),
)

EMBEDDINGS = Hyperparameter(
    name="embeddings",
    meaning="path of pretrained vectors; empty for random ones",
    default="",
    kind="network",
    role="fixed",
    advice="GloVe or word2vec as a text file, of the language of the texts: the fewer training "
    "texts, the more they help (Pennington et al. 2014)",
    values=("",),
)

TEXT_DROPOUT = replace(
    training.DROPOUT,
    meaning="share of the units set to zero, before the head and inside the network",
    advice="0.1 to 0.5; networks on few texts overfit within three epochs",
    condition=None,
)

EMBEDDING_DROPOUT = Hyperparameter(
    name="embedding_dropout",
    meaning="share of the known tokens without a vector in a batch",
    default=0.0,
    kind="regularization",
    advice="0 to 0.5; 0.1 in Merity et al. 2018",
    low=0.0,
    high=0.5,
    grid=(0.0, 0.1, 0.3, 0.5),
)

DELETION_SHARE = Hyperparameter(
    name="deletion_share",
    meaning="share of the tokens of a training text that are left out",
    default=0.0,
    kind="regularization",
    advice="0.1 for up to 500 texts, less for more (Wei and Zou 2019, figure 3)",
    low=0.0,
    high=0.3,
    grid=(0.0, 0.05, 0.1, 0.3),
)

SWAP_SHARE = replace(
    DELETION_SHARE,
    name="swap_share",
    meaning="share of the tokens of a training text that change places",
)

SYNONYM_SHARE = replace(
    DELETION_SHARE,
    name="synonym_share",
    meaning="share of the tokens with synonyms that one of them replaces",
    advice="0.05 to 0.1 (Wei and Zou 2019, figure 2), with `synonyms`; by WordNet many are of "
    "another sense of the word",
)

SYNONYMS = Hyperparameter(
    name="synonyms",
    meaning="wordnet, or the path of a file of synonyms; empty for none",
    default="",
    kind="data",
    role="fixed",
    advice="a file of your field is better than all senses of WordNet",
    values=("",),
)

PARAPHRASE_SHARE = Hyperparameter(
    name="paraphrase_share",
    meaning="share of the training texts with paraphrases that one of them replaces",
    default=0.0,
    kind="regularization",
    advice="0.5 with back translations (Xie et al. 2020, section 2.3), with `paraphrases`",
    low=0.0,
    high=0.9,
    grid=(0.0, 0.3, 0.5, 0.9),
)

PARAPHRASES = Hyperparameter(
    name="paraphrases",
    meaning="path of a file with paraphrases of training texts; empty for none",
    default="",
    kind="data",
    role="fixed",
    advice="translate the training texts to another language and back, once, before the study",
    values=("",),
)

CLEAN_ENCODING = Hyperparameter(
    name="clean_encoding",
    meaning="whether text that was read in a wrong encoding is repaired",
    default=False,
    kind="data",
    advice="true where Ã© stands for é; it costs a minute for a million texts",
    values=(False, True),
)

CLEAN_HTML = Hyperparameter(
    name="clean_html",
    meaning="whether tags are removed and entities replaced",
    default=True,
    kind="data",
    advice="true, unless the texts are about HTML",
    values=(True, False),
)

CLEAN_CONTROL = Hyperparameter(
    name="clean_control",
    meaning="whether control characters and invisible marks are removed",
    default=True,
    kind="data",
    advice="true: an invisible mark makes an unknown word of a known one",
    values=(True, False),
)

UNICODE_FORM = Hyperparameter(
    name="unicode_form",
    meaning="Unicode normalisation",
    default="nfkc",
    kind="data",
    advice="nfkc, unless ² or ligatures mean something (Unicode Standard Annex 15)",
    values=("none", "nfc", "nfkc"),
)

CLEAN_URLS = Hyperparameter(
    name="clean_urls",
    meaning="whether URLs are removed",
    default=False,
    kind="data",
    advice="true where they say nothing; in spam they say all",
    values=(False, True),
)

LOWERCASE = Hyperparameter(
    name="lowercase",
    meaning="whether upper case becomes lower case",
    default=True,
    kind="data",
    advice="true for few texts; false where case has a meaning, as in names or shouting",
    values=(True, False),
)

CLEAN_REPEATS = Hyperparameter(
    name="clean_repeats",
    meaning="whether repeated characters are kept twice at most",
    default=False,
    kind="data",
    advice="true for messages, where sooo and soooo are one word",
    values=(False, True),
)

TOKENIZER = Hyperparameter(
    name="tokenizer",
    meaning="units of a text",
    default="words",
    kind="data",
    role="scientific",
    advice="words, or byte pairs where words have many forms or are misspelt (Sennrich et al. "
    "2016); characters need many texts",
    values=("words", "characters", "byte_pairs"),
)

MIN_COUNT = Hyperparameter(
    name="min_count",
    meaning="occurrences from which a token is known",
    default=2,
    kind="data",
    advice="2 for few texts, 5 for many (Mikolov et al. 2013); 1 leaves no unknown token to learn "
    "from",
    values=(1, 2, 3, 5, 10),
    ordered=True,
)

VOCABULARY_SIZE = Hyperparameter(
    name="vocabulary_size",
    meaning="largest number of known tokens",
    default=20_000,
    kind="data",
    advice="1,000 to 8,000 byte pairs for few texts, 10,000 to 50,000 words",
    values=(1_000, 2_000, 5_000, 10_000, 20_000, 50_000),
    ordered=True,
)

LENGTH_QUANTILE = Hyperparameter(
    name="length_quantile",
    meaning="share of the training texts that are not cut",
    default=0.98,
    kind="data",
    advice="0.9 to 1: the longest texts cost most, and seldom decide",
    low=0.8,
    high=1.0,
    grid=(0.8, 0.9, 0.98, 1.0),
)

MAX_LENGTH = Hyperparameter(
    name="max_length",
    meaning="largest number of tokens of a text",
    default=256,
    kind="data",
    advice="128 to 512, by the time that an epoch may take",
    values=(64, 128, 256, 512),
    ordered=True,
)
