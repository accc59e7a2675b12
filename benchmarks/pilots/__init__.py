"""Jobs that are measured for a minute, predicted, run to their end and held against the prediction."""
