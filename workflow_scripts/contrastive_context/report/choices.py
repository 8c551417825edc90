"""Where the paper's text doesn't say, or wasn't available, and we had to choose. Shown in every report."""

CHOICES: tuple[tuple[str, str], ...] = (
    ("Number of examples k", "Not known; `tasks.*.k`, the same in training and evaluation of a task."),
    ("Probability p of the real nearest neighbour", "Not known; `strategies.*.p`. Only ε = 0.1 is the paper's."),
    (
        "Similarity",
        "Cosine of a sentence encoder clipped to [0, 1] (the paper, according to a digest of it that we could not "
        "verify: BM25 or embeddings). For synthetic tasks the share of equal words at equal positions. Bucket edges "
        ".33 and .67 are the paper's; what falls between them depends on the encoder.",
    ),
    (
        "Composition of evaluation contexts",
        "Two: one graded example among random ones, and the k nearest of a pool thinned to the bucket. A claim shows "
        "only if it does in both; where one of them couldn't be measured it counts as “can't tell”. A task may be set "
        "to one composition.",
    ),
    (
        "Which targets are scored",
        "Only those that fill every bucket, so that buckets compare the same targets. An example whose label nearly "
        "equals gold is never shown.",
    ),
    (
        "Probe formulas",
        "IWL: agreement with gold when every example is irrelevant. ICL: how much more often an edited label appears "
        "in the output when the relevant example carries it than when an irrelevant one does. Copy: agreement with "
        "shown labels minus agreement with matched labels that were not shown; which are shown, chance decides "
        "(where there are fewer than 2k labels, each side has half of them, which repeat: `used_repeating_labels`). By "
        "likelihood, ICL is the log-probability of the edited label's tokens alone, gold before them given. Secondary, "
        "where asked for: Override, how much more often the output has a label edited in the relevant example alone "
        "than where it isn't edited; ICL-gain, agreement with gold with the relevant example less without.",
    ),
    (
        "Which targets are probed",
        "First those that share an anchor with an arrival of the highest bucket, as the ICL-score needs, then others, "
        "by chance within both. So IWL- and Copy-score, too, are mostly of targets with a relevant arrival, which is "
        "not shown there: no random sample of the test set. All systems have the same items.",
    ),
    (
        "Anchors of the ICL-score",
        "`tasks.*.probes.anchors`: how the span that becomes a nonce is tied to the part of the label that stands for "
        "it. In translation, words aligned by IBM model 1 in both directions over training pairs and arrivals, at most "
        "6 million combinations of words: each the other's likeliest in its pair with at least half of the posterior, "
        "seen together in three pairs or more, in no more than a fifth of all pairs. Of 50 such words per language, "
        "from the embedded catalogues, 46 (German), 47 (Lithuanian), 37 (Hindi) and 44 (Tamil) were right to one "
        "reader, a language model, and most of the others partly (`benchmarks/anchors.py`).",
    ),
    (
        "Control of the ICL-score",
        "The ICL control shows the same label nonce tied to another source nonce (a word-by-word reader would "
        "otherwise score 0).",
    ),
    (
        "Metric",
        "`tasks.*.metrics`, the first is the headline. The paper's is COMET, which checkpoint is not known; where its "
        "weights can't be had, chrF++, exact match or token accuracy stand in.",
    ),
    (
        "Paraphraser",
        "`strategies.*.paraphrasers`; by default rules that reword. The paper used a hosted model, "
        "gemini-2.0-flash-lite.",
    ),
    (
        "Templates, ablations, the minimal model's equations",
        "Ours, as are the values of k, p and ε in the ablations.",
    ),
    ("Models, corpora, LoRA, learning rate, steps", "Not known; see the effective configuration below."),
    (
        "Models pre-trained by the workflow",
        "Models of kind `pretrain` are tiny and learn in-context look-up with a guided-attention loss: the ICL that "
        "fine-tuning then keeps or loses is partly taught. What they show says little about the size of effects in "
        "large models.",
    ),
    (
        "Seeds",
        "On lexicon, pre-training of the tiny models and fine-tuning were tuned on seeds of 100 and more, on idiom on "
        "seed 0; one setting (tiny Qwen3 has no grouped keys and values) was changed because reported seeds missed the "
        "gate. Nothing of the kind is claimed of other models or tasks.",
    ),
    (
        "Verdicts",
        "One per claim and task, from the mean over models of their means over training runs. “Shows”: the paired "
        "interval and the Holm-corrected test exclude 0 and the effect reaches a minimum set in the configuration "
        "(near the top of the scale a tenth of what is missing to it, if that is less); “shows, but small”: all but "
        "the last. “Does not show”: the interval reaches 0 or less and ends below that minimum, and a Holm-corrected "
        "test excludes the minimum. A claim that systems are level is held against a margin instead of 0. Otherwise, "
        "and with too few targets or clusters, “can't tell”. Where a claim names several systems, or every bucket, "
        "each pair has to hold in every composition. Holm's family are the claims of one task; for “does not show” "
        "each pair is a test of its own. The intervals themselves are not corrected.",
    ),
    (
        "Training that is too short",
        "A claim about training is judged only where the best strategy's IWL-score is above the base's by "
        "`statistics.min_learned`; and one about ICL only where the base has that much of it.",
    ),
    (
        "Retention of both",
        "min(ICL / ICL of the base, (IWL − IWL of the base) / (best strategy's IWL − IWL of the base)), each part "
        "between 0 and 1, of every training run. The paper's caption says “best retention of ICL and IWL”; how that "
        "is measured isn't known.",
    ),
    (
        "Several training runs",
        "Over runs with different seeds, the interval adds a part from Student's t over the runs to what the runs have "
        "in common of the cluster bootstrap's. Two runs make it very wide, and three wide: few claims then show. In "
        "simulations 95 % intervals over several runs cover the truth in 94 to 99 % of cases. Over several models "
        "each has its own variance over runs (Satterthwaite's degrees of freedom), as one may vary many times as much "
        "as another. The interval for any such model takes the models' means for the sample. With one run per model "
        "all of it speaks of these runs only.",
    ),
)
