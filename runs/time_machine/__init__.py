"""The time machine for what agents ask people: drafts tried on what was recorded, by the code that judges live."""
