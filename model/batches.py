"""Messages packed into rows of fixed length, the one shape in which networks are trained.

A row holds whole messages, each closed by BOUNDARY, at which the network resets its state: packing wastes little and
changes nothing about what a message's prediction may see. Inputs are `row[:-1]`, targets are `row[1:]`.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from model.vocabulary import BOUNDARY, PAD

ROW_LENGTH = 20

Rows = npt.NDArray[np.int32]  # [rows, length + 1]


def pack(messages: Iterable[Iterable[int]], length: int = ROW_LENGTH) -> Rows:
    """Pack encoded messages (without boundaries) into rows, longest first into the fullest row with room.

    A message longer than a row goes on in a row of its own that starts with the last piece of the one before.
    Every piece and every closing boundary is a target exactly once.

    Returns:
        int32 [rows, length + 1], padded with PAD.
    """
    rows: list[list[int]] = []
    whole: list[list[int]] = []
    for message in messages:
        sequence = [BOUNDARY, *message, BOUNDARY]
        while len(sequence) - 1 > length:
            rows.append(sequence[: length + 1])
            sequence = sequence[length:]
        if sequence[0] == BOUNDARY:
            whole.append(sequence[1:])
        else:
            rows.append(sequence)
    with_room: list[list[list[int]]] = [[] for _ in range(length + 1)]  # by free places
    for row in rows:
        if row[-1] == BOUNDARY:
            with_room[length + 1 - len(row)].append(row)
    for sequence in sorted(whole, key=len, reverse=True):
        free = next((n for n in range(len(sequence), length + 1) if with_room[n]), None)
        if free is None:
            row = [BOUNDARY]
            rows.append(row)
            free = length
        else:
            row = with_room[free].pop()
        row.extend(sequence)
        with_room[free - len(sequence)].append(row)
    packed = np.full((len(rows), length + 1), PAD, np.int32)
    for i, row in enumerate(rows):
        packed[i, : len(row)] = row
    return packed


def unpack(rows: Rows) -> list[list[int]]:
    """Return the messages in packed rows, without boundaries; one that filled several rows comes back in parts."""
    messages: list[list[int]] = []
    for row in rows.tolist():
        message: list[int] = []
        for piece in row:
            if piece in {PAD, BOUNDARY}:
                if message:
                    messages.append(message)
                message = []
            else:
                message.append(piece)
        if message:
            messages.append(message)
    return messages


def targets_in(rows: Rows) -> int:
    """Return how many positions of `rows` are trained on."""
    return int(np.count_nonzero(rows[:, 1:] != PAD))
