"""The best place for each layer and its experts: cards filled by bytes, proven to fit."""
