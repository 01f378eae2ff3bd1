package dev.heddle.simulated.ptx;

/**
 * A kernel's parameter.
 *
 * @param type of one element
 * @param offset in bytes from the start of the parameter bytes
 * @param byteSize of all elements
 * @param alignment in bytes
 */
public record PtxParameter(String name, PtxType type, int offset, int byteSize, int alignment) {}
