package dev.heddle.train.model;

/**
 * How much a microbatch holds on average: what stages cost depends on it. A function of the
 * configuration and the sizes of the data alone, so it is the same on every rank.
 *
 * @param samples samples of a microbatch
 * @param pictures the part of them that come with their picture (and sound)
 * @param clipRows rows of a sound; 0 where the model does not hear
 * @param textLength words of a sample
 * @param vocabularySize words that are scored
 */
public record Workload(
    double samples, double pictures, double clipRows, double textLength, int vocabularySize) {}
