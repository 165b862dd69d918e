"""How rare tags are among the suggestions, for the order *most informative*.

The numbers change only now and then, and each set of them has an epoch, which cursors name: while
somebody goes through the pages of an order, it does not change under their hands.
"""

import math

import numpy as np
import sqlalchemy as sql
from numpy.typing import NDArray
from sqlalchemy import Connection

from core.events import schema
from core.events.counters import read_counters

GROWTH = 1.1
"""The numbers are computed anew when there are so many times as many sounds."""
KEPT_EPOCHS = 10


def refresh_rarities(connection: Connection) -> None:
    """Compute the numbers anew where many sounds have come since the last time."""
    sounds = sum(read_counters(connection, "state").values())
    table = schema.rarities
    query = sql.select(table.c.epoch, table.c.sounds).order_by(table.c.epoch.desc()).limit(1)
    last = connection.execute(query).one_or_none()
    if last and last.sounds / GROWTH <= sounds < max(last.sounds + 1, last.sounds * GROWTH):
        return
    epoch = last.epoch + 1 if last else 1
    data = _measured(connection, sounds).tobytes()
    connection.execute(table.insert().values(epoch=epoch, sounds=sounds, data=data))
    connection.execute(table.delete().where(table.c.epoch <= epoch - KEPT_EPOCHS))


def _measured(connection: Connection, sounds: int) -> NDArray[np.float32]:
    """Return 0 (every sound has the suggestion) to 1 (one or none) by the code of the tag."""
    codes = schema.codes.c
    query = sql.select(codes.text, codes.code).where(codes.kind == "tag")
    code_of_tag = {row.text: row.code for row in connection.execute(query)}
    values = np.ones(max(code_of_tag.values(), default=0) + 1, np.float32)
    values[0] = 0
    for tag, number in read_counters(connection, "suggested").items():
        values[code_of_tag[tag]] = rarity(number, sounds)
    return values


def rarity(number: int, sounds: int) -> float:
    """Return how rare a tag is that is suggested for `number` of so many sounds: 0 to 1."""
    return math.log((1 + sounds) / number) / math.log(1 + sounds)


def read_rarities(connection: Connection, epoch: int | None) -> tuple[int, NDArray[np.float32]]:
    """Return an epoch and its numbers by code; the newest one's where `epoch` is not kept."""
    table = schema.rarities.c
    newest = sql.select(table.epoch, table.data).order_by(table.epoch.desc()).limit(1)
    row = connection.execute(newest.where(table.epoch == epoch)).one_or_none() if epoch else None
    row = row or connection.execute(newest).one_or_none()
    if row is None:
        return 0, np.zeros(1, np.float32)
    return row.epoch, np.frombuffer(row.data, np.float32)
