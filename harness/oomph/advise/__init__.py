"""From a question and an estimate to advice: fits or not, what instead, what to launch."""
