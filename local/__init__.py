"""The stack without AWS: PostgreSQL with pgstac, SNS and SQS, assets to ingest, and both daemons, all on loopback."""
