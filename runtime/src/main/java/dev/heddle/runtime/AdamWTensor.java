package dev.heddle.runtime;

import org.jspecify.annotations.Nullable;

/**
 * One of the tensors that {@link Kernels#adamW(AdamWStep, java.util.List, NDArray)} updates; arrays
 * as for one tensor alone, see {@link Kernels#adamW(AdamWStep, NDArray, NDArray, NDArray, NDArray,
 * NDArray)}.
 *
 * @param weight what is updated, in the accumulation type
 * @param gradient its gradient, in the type of the kernels
 * @param firstMoment running mean of gradients
 * @param secondMoment running mean of squared gradients
 * @param copy receives the new weight in the gradient's type where that is narrower, else null
 * @param decays whether it is subject to weight decay
 */
public record AdamWTensor(
    NDArray weight,
    NDArray gradient,
    NDArray firstMoment,
    NDArray secondMoment,
    @Nullable NDArray copy,
    boolean decays) {}
