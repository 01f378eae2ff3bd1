/**
 * What changes parameters after the backward.
 *
 * <p>A step has three parts, which a trainer puts together: {@link dev.heddle.optim.CosineSchedule}
 * gives the learning rate; {@link dev.heddle.optim.GradientClipping} turns the squares of all
 * gradients into one factor; {@link dev.heddle.optim.AdamW} changes every parameter in place, one
 * kernel each, with 1/N and that factor as the scale of the gradients. Under the gradient rule
 * gradients are sums over tokens until then: the division by the number of valid tokens happens
 * here, once.
 *
 * <p>Adding up gradients and squares over ranks is the business of {@code
 * dev.heddle.parallel.component}.
 */
package dev.heddle.optim;
