"""``python -m longtail job embed``: a split through a trained network, or the features of a control.

Networks run in eval mode and float32 on unaugmented images (the dataset's test transform, the normalisation of the
stretch that was trained last). A control needs no torch, and does not load it; only the control of texts is a network,
the sentence encoder that all methods start from.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from longtail.embedding.controls import CONTROLS, embed_control
from longtail.embedding.embeddings import write_embeddings, write_weights
from longtail.errors import LongtailError
from longtail.files import read_json, read_provenance
from longtail.training.arguments import GPUS_HELP, PER_GPU_HELP, positive, stores, thread_count
from longtail.training.shape import COUNT, require

PRETRAINED = "pretrained"
"""The control of texts: their encoder before any training (the baseline of MiniClustering Table 10)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    source = parser.add_argument_group("a trained phase")
    source.add_argument("--spec", type=Path, help="specification that the training wrote")
    source.add_argument("--checkpoint", type=Path, help="its checkpoint")
    source.add_argument("--weights", type=Path, help="output: the classifier behind the features, if there is one")
    source.add_argument("--gpus", type=int, choices=(0, 1), help=GPUS_HELP)
    source.add_argument("--trainings-per-gpu", type=positive, default=1, metavar="K", help=PER_GPU_HELP)
    source.add_argument("--threads", type=int, help="CPU threads; in a Slurm job those of the job")
    control = parser.add_argument_group("a control")
    control.add_argument("--control", choices=(*CONTROLS, PRETRAINED))
    control.add_argument("--data", metavar="JSON", help="the data part of a specification, or @FILE")
    control.add_argument("--seed", type=int, default=0, help="of the noise")
    parser.add_argument("--encoder", type=Path, metavar="DIR", help="sentence encoder, for texts")
    parser.add_argument("--features", required=True, help="which features")
    parser.add_argument("--split", required=True, type=Path, help="rows to embed")
    parser.add_argument("--images", required=True, nargs="+", action="extend", metavar="PART=PATH", help="stores")
    parser.add_argument("--out", required=True, type=Path, help="output: embeddings")


def run(arguments: argparse.Namespace) -> None:
    """Write the embeddings.

    Raises:
        LongtailError: on anything the user can act on.
    """
    if arguments.control:
        if arguments.spec or arguments.checkpoint or not arguments.data:
            raise LongtailError("A control has no training: give --data, and neither --spec nor --checkpoint.")
        if arguments.control == PRETRAINED:
            embed_pretrained(arguments)
            return
        data = read_json(arguments.data, "The data part")
        require(data, {"classes": COUNT}, "data")
        embed_control(
            arguments.control,
            data["classes"],
            arguments.seed,
            arguments.split,
            stores(arguments.images),
            arguments.out,
            features=arguments.features,
        )
    elif arguments.spec and arguments.checkpoint:
        embed_phase(arguments)
    else:
        raise LongtailError("Give --spec and --checkpoint for a trained phase, or --control and --data for a control.")


def embed_phase(arguments: argparse.Namespace) -> None:
    """Write the embeddings of a trained phase."""
    import torch

    from longtail.data.streamed import workers_that_speak
    from longtail.devices.memory import room_for
    from longtail.devices.precision import prepare_device
    from longtail.embedding.trained import trained_objective
    from longtail.training.encode import decoders, open_split, split_inputs

    spec, objective, rows = trained_objective(
        arguments.spec, arguments.checkpoint, arguments.features, arguments.encoder
    )
    threads = thread_count(arguments.threads)
    device = prepare_device(threads, arguments.gpus, arguments.trainings_per_gpu)
    split = open_split(spec.data, arguments.split, stores(arguments.images), device, decoders(threads, device))
    stored, head = objective.stored(arguments.features), None
    if stored is not None:
        require_training_split(arguments.split, len(split), rows, arguments.features)
        outputs: tuple[torch.Tensor, ...] = (stored,)
    else:
        encoder = objective.to(device).to(memory_format=torch.channels_last).encoder(arguments.features)
        head = getattr(encoder, "head", None)
        inputs = split_inputs(split, spec.data, spec.last.settings.normalization, torch.float32)
        with workers_that_speak(), room_for(f"the activations of {split.at_once} images", str(device)):
            outputs = inputs.encode_all(encoder)
    embedding, *heads = (output.cpu().numpy() for output in outputs)
    facts = {"identity": spec.identity, "seed": spec.seed, "features": arguments.features}
    write_embeddings(arguments.out, split.labels.cpu().numpy(), embedding, heads[0] if heads else None, **facts)
    if arguments.weights is not None:
        weight, bias = linear(head)
        write_weights(arguments.weights, weight, bias, **facts)


def linear(head: Any) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Weight (K, d) and bias (K,) of a linear classifier; None for what there is not."""
    import torch

    found = [getattr(head, name, None) for name in ("weight", "bias")]
    if not isinstance(found[0], torch.Tensor) or found[0].ndim != 2:
        return None, None
    weight, bias = (None if each is None else each.detach().cpu().numpy() for each in found)
    return weight, bias


def embed_pretrained(arguments: argparse.Namespace) -> None:
    """Write the embeddings of texts by the sentence encoder as it comes, on the CPU."""
    import torch

    from longtail.data.resident_texts import ResidentTexts
    from longtail.devices.precision import prepare_device
    from longtail.models.sentence import SentenceEncoder
    from longtail.training.encode import SplitTexts

    if not arguments.encoder:
        raise LongtailError("A pre-trained control needs the folder of a sentence encoder: give it with --encoder.")
    device = prepare_device(thread_count(arguments.threads), gpus=0)
    split = ResidentTexts(arguments.split, stores(arguments.images), device)
    (embedding,) = SplitTexts(split, torch.float32).encode_all(SentenceEncoder(arguments.encoder))
    write_embeddings(
        arguments.out,
        split.labels.numpy(),
        embedding.numpy(),
        None,
        control=PRETRAINED,
        seed=arguments.seed,
        features=arguments.features,
    )


def require_training_split(path: Path, rows: int, trained: int, features: str) -> None:
    """Check that features which a training has stored are asked for on the split that it was trained on.

    Args:
        path: of the split.
        rows: images in it.
        trained: images of the training.
        features: for the message.

    Raises:
        LongtailError: if they are not.
    """
    name = read_provenance(path).get("split", "train")
    if name != "train" or rows != trained:
        raise LongtailError(
            f"{features!r} holds the {trained} images that were trained on and no others, but {path} is the {name} "
            f"split of {rows}. Embed it by other features, such as 'projection'."
        )
