"""The region proposal network: anchors, what they are trained for, and the proposals they make."""
