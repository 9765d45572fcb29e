"""The source side: which model a checkpoint holds, in fairseq's own terms."""
