"""What is signed: C2SP signed notes, checkpoints, cosignatures, rotations of a key, proofs that stand alone."""
