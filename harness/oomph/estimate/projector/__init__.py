"""The memory of a projector (mmproj): its weights, and what its encoder computes in."""
