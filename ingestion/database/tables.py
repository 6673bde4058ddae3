"""What the database holds beside the tables of contracts, and who may do what in it."""

from lake.contracts import Column

REPLICATED = "tb_coins"
PUBLICATION = "tributary_dms"

LISTINGS = "listings"
LISTINGS_KEY = ("listing_id",)
# Which listings were loaded; run_id and rows tell a repeated task what it had answered.
LISTINGS_COLUMNS = (
    Column(name="listing_id", type="string", required=True),
    Column(name="listed_at", type="timestamp", required=True),
    Column(name="coins", type="int", required=True),
    Column(name="run_id", type="string", required=True),
    Column(name="rows", type="int", required=True),
    Column(name="loaded_at", type="timestamp", required=True),
)
LISTINGS_DEFAULT = "ALTER TABLE listings ALTER COLUMN loaded_at SET DEFAULT (now() AT TIME ZONE 'UTC')"
