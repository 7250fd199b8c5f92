"""Text: short notes of a cold-chain warehouse, sorted by an integer model that anybody can run again.

Each note becomes 256 counts (its sequences of three and four letters, hashed), and a linear integer model with a score for each
label says what it is about. The notes below were written for this example.

    pip install 'tallystick[ai]' scikit-learn && python examples/text_notes.py
"""

from __future__ import annotations

import tempfile
import zlib
from pathlib import Path

import numpy as np

from tallystick.models import NumericFeature, Quantiser, fit_linear, parse_model
from tallystick.node import Node

NOTES = {
    "damage": """
        two cartons crushed at the bottom of the pallet
        vial box torn open, several vials broken
        forklift hit the pallet, corner cartons dented
        water stains on the outer packaging
        seal of the container broken on arrival
        glass splinters found in the second layer
        pallet fell over in the truck, cartons split
        wrapping ripped, boxes scratched and dented
        one drum leaking, floor below it wet
        lid cracked, contents spilled into the tray
        cartons soaked through after the rain
        box punctured, insulation foam broken
        label side smashed, four bottles broken
        crate arrived with a broken board and bent nails
        shrink wrap torn, upper cartons crushed
        leaking bottle soaked the neighbouring boxes
        container wall dented, door bent
        broken pallet, goods repacked by hand
        carton crushed and torn, contents broken
        two vials broken, box wet inside
        packaging torn on one side, cartons dented
        bottles leaking into the carton
        broken seal and a torn label on the box
        cartons crushed under a heavy pallet
        dented drum, slightly leaking
        box wet and torn, vials not broken
        the wrapping is torn, three boxes crushed
        corner of the crate broken, wrapping torn
        damaged cartons, two of them wet
        pallet damaged by the forklift, boxes broken""",
    "delay": """
        truck arrived nine hours after the agreed slot
        shipment still at the port, vessel late
        driver stuck in traffic, new arrival tomorrow morning
        flight cancelled, rebooked for the next day
        waiting two days at the border for a free lane
        delivery postponed because of the storm
        carrier missed the connection, arrives on Friday
        no driver available, pick up moved to Monday
        train held up, container three days late
        customs queue, departure delayed until evening
        vessel rolled, next sailing in a week
        late pick up, the slot at the dock was lost
        arrival put off again, no new date given
        road closed by snow, driver waits
        strike at the terminal, departure postponed
        truck broke down, replacement arrives late tonight
        handed over a day late by the previous carrier
        delivery missed its slot, comes tomorrow
        truck late, arrives tomorrow
        delivery delayed by two days
        still waiting for the carrier, pick up tomorrow
        departure delayed, vessel arrives next week
        driver late by four hours, new slot agreed
        shipment waiting at customs since Friday
        flight delayed until the next morning
        arrival delayed, the truck waits at the border
        carrier late again, delivery on Monday
        the train is late, arrival tomorrow evening
        vessel delayed by the storm, no new date
        pick up postponed to the next day, driver ill""",
    "temperature": """
        logger shows 11.5 degrees for forty minutes
        cooling unit failed at night, cargo above eight degrees
        reefer set to plus twelve instead of plus five
        reading below zero, vials may be frozen
        ice packs melted, inside temperature nine degrees
        warm cargo, thermometer at fourteen degrees
        door left open while loading, temperature rose to ten
        freezer alarm, minus four measured for an hour
        temperature excursion on the second leg, peak thirteen degrees
        cold room too warm after the power failure
        logger battery empty, temperature of the last day unknown
        dry ice gone, cargo thawed
        cooling off for two hours at the dock, reading nine
        frost on the boxes, logger says minus two degrees
        thermostat stuck, cargo at sixteen degrees
        reefer alarm ignored, degrees above the limit all night
        pallet stood in the sun, warm to the touch
        temperature log has a gap and a peak of twelve
        logger reads nine degrees in the cargo
        temperature above the limit for two hours
        reefer too warm, logger shows ten degrees
        cargo frozen, temperature minus three degrees
        cold room alarm, temperature rose to eleven degrees
        cooling failed, cargo warm
        logger peak of twelve degrees on the second day
        vials too cold, thermometer below zero
        reefer cooling off, temperature rising
        temperature reading missing, logger stopped
        ice melted, cargo at fifteen degrees
        freezer too warm for an hour, minus eight measured""",
}
LABELS = tuple(NOTES)
WIDTH, MOST = 256, 32
COLUMNS = [f"n{place:03d}" for place in range(WIDTH)]
# A count is 1000 thousandths, so that weights stay small; more than 32 of one sequence count as 32.
QUANTISER = Quantiser(
    tuple(
        NumericFeature(name, "letter sequences", decimals=3, offset=0, step=1, low=0, high=MOST * 1000,
                       missing=0, gaps=False)
        for name in COLUMNS
    )
)  # fmt: skip


def counts_of(note: str) -> list[int]:
    """Count the sequences of three and four letters of a note, hashed into 256 columns."""
    text, counts = f" {' '.join(note.lower().split())} ", [0] * WIDTH
    for length in (3, 4):
        for start in range(len(text) - length + 1):
            counts[zlib.crc32(text[start : start + length].encode()) % WIDTH] += 1
    return counts


def row_of(note: str) -> dict[str, str | None]:
    """Write a note's counts as the row that the model is asked with."""
    return {column: str(count) for column, count in zip(COLUMNS, counts_of(note), strict=True)}


def main() -> None:
    """Train, judge, publish, ask, and compute the answer again from the file alone."""
    told = [(note.strip(), label) for label, block in NOTES.items() for note in block.strip().splitlines()]
    seen = [pair for place, pair in enumerate(told) if place % 4]
    held_out = [pair for place, pair in enumerate(told) if not place % 4]
    model = fit_linear(
        np.array([counts_of(note) for note, _ in seen], dtype=np.float64), [label for _, label in seen],
        name="notes", target="what a note is about", names=COLUMNS, labels=LABELS, quantiser=QUANTISER,
        penalty=0.02, held_out=0,
    ).model  # fmt: skip

    with (
        tempfile.TemporaryDirectory() as place,
        Node.init(
            Path(place) / "depot", name="Cold Depot", passphrase="an example", heads=Path(place) / "heads"
        ) as node,
    ):
        rows = [row_of(note) for note, _ in held_out]
        judged = node.models.evaluate(model, rows, [label for _, label in held_out], resamples=100)
        print(f"{judged.correct} of {judged.rows} notes that it never saw sorted right")
        version = node.models.publish(model, "notes", evaluation=judged)
        print(f"published {version.label}, family {version.family}, file {version.hash[:12]}…")
        note = "pallet left on the ramp, logger peaked at twelve degrees"
        answer = node.ask("notes", row_of(note))
        print(f"{note!r} is about {answer.decision}: scores {dict(zip(LABELS, answer.scores, strict=True))}")
        print(f"stated as {answer.statement[:12]}… at level {answer.level}: {answer.words}")
        again = parse_model(model.bytes).scores(row_of(note))
        print(f"computed again from the model's file: {'equal' if again == answer.scores else 'DIFFERENT'}")


if __name__ == "__main__":
    main()
