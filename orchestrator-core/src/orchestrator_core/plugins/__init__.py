"""Discovery, quarantine and the typed caller over pluggy."""
