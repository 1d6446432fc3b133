"""The receiving end: verifies, unseals, de-duplicates, stores and confirms reads."""
