"""Invented free text, damaged as real text is. Nothing here is taken from a real record; addresses and numbers reach nobody."""

from random import Random

from local.sources.boston311.topics import Topic

_SENTENCES = (
    "Crew sent and work completed.",
    "Inspected; no violation found.",
    "Duplicate of Existing Case.",
    "Work order {n} issued to contractor, work done.",
    "Area was cleaned, photo on file.",
    "Referred to the district yard, ticket {n}.",
    "Could not locate the item reported.",
    "Resident informed by letter.",
    "Repair made, patched and sealed",
    "Not in our jurisdiction; passed on to the state.",
)
_ODD = (  # text, ten thousandths
    ('Sign reads "NO STOPPING"; put back up.', 30),
    ("Moved 2\tbarrels\tto the kerb.", 8),
    ("Owner\ufffds gate repaired.", 40),
    ("Thank you \U0001f44d\U0001f333", 5),
    ("Caf\u00e9 sign removed,\u00a0sidewalk clear.", 6),
    ("Neighbour\u2019s \u201cpile\u201d picked up.", 10),
    # Contact data, open and as the city masks it.
    ("Call desk at 617-555-0100, ext {n}.", 10),
    ("Resident asks for a call: (617) 555-01{nn}", 8),
    ("Reach the foreman on 617.555.01{nn} or +1 617 555 01{nn}", 4),
    ("Write to crew{n}@example.org for details.", 10),
    ("Sent to J.Doe-{nn}@mail.example.org,yard@example.org", 4),
    ("Call xxx-xxx-xxxx or write to xxxxx.xxxxxx@xxxxxx.xxx", 10),
)


def comments(rnd: Random, size: int = 10_000) -> list[str]:
    """Closing texts without what the system puts before them."""
    pool = [_filled(text, rnd) for text, share in _ODD for _ in range(share * size // 10_000)]
    while len(pool) < size:
        pool.append(_filled(rnd.choice(_SENTENCES), rnd))
    rnd.shuffle(pool)
    return pool


def titles(topic: Topic, rnd: Random) -> list[str]:
    """A hundred titles: they are typed by hand, one in eight differs from the type."""
    word = topic.type.split()[-1]
    odd = [
        topic.type.upper(),
        "PRINTED",
        f"{word.lower()}////printed",
        f"{topic.type}: [{topic.queue.split('_')[-1][:12]}]",
        f"{topic.type} #{rnd.randint(2, 9)}",
        topic.type.replace("s", "", 1),
    ]
    pool = [topic.type] * 88 + [odd[i % len(odd)] for i in range(12)]
    rnd.shuffle(pool)
    return pool


def _filled(text: str, rnd: Random) -> str:
    return text.format(n=rnd.randint(1000, 9999), nn=rnd.randint(10, 99))
