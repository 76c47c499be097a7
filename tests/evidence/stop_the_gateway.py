"""A hundred SIGTERMs to a gateway with 200 streams under way, on every surface.

    python tests/evidence/stop_the_gateway.py --stops 100 --streams 200 --seed 1

In turn, all streams can end within the grace period, and none can. It ends with 1 where a stream of the first kind is
cut, one of the second kind has not exactly one event that ends it, the exit code is not 0, a turn is not stored as it
ended, or a request after the signal gets anything but 503.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fake_upstreams.ticking import running_upstream
from graceful_stops import EVERY, GracefulStops, Tally
from processes import start_gateway


def show(tally: Tally) -> None:
    if tally.stops % 10 == 0:
        print(line(tally), file=sys.stderr, flush=True)


def line(tally: Tally) -> str:
    return (
        f"{tally.stops} stops: {tally.complete} streams complete, {tally.ended} ended by one last event, "
        f"{tally.turned_away} requests after the signal turned away; with streams that end, gone after "
        f"{max(tally.seconds, default=0):.1f} s at most; {len(tally.wrong)} not as it must be"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stops", type=int, default=100)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--grace", type=float, default=1.5, help="seconds; four times that where streams are to end")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_upstream(EVERY) as upstream:
        stops = GracefulStops(start_gateway, Path(folder), upstream, options.seed, streams=options.streams)
        tally = asyncio.run(stops.run(options.stops, options.grace, show))
    for wrong in tally.wrong[:50]:
        print(wrong)
    print(line(tally))
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
