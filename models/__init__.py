"""The plate models and the code that makes them: one job, one file."""
