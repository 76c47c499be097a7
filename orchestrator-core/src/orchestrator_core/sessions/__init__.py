"""The conversation store: models, protocol, implementations, migrations."""
