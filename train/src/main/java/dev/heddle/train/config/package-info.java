/**
 * What a user tells a run: YAML in, records out, or a refusal that says what to write instead.
 *
 * <p>{@link dev.heddle.train.config.ConfigLoader} reads the file and the command line's overrides
 * into a tree in which every value remembers its line or its option, takes typed values out of it
 * (a left-out key gets its default), and checks what must fit together. The result, {@link
 * dev.heddle.train.config.RunConfig}, has no unchecked combination in it, so that the code behind
 * it never validates again. Whatever is wrong is collected and thrown once, as a {@link
 * dev.heddle.train.config.ConfigException} with one line a problem:
 *
 * <pre>
 * run.yaml:7: model.vision.heads = 5: hiddenSize 192 is not divisible by 5; accepted: 1, 2, 3, ...
 * --set parallel.language.tp=8: 4 heads cannot be split over tp 8: ...; accepted: 1 to 4
 * </pre>
 *
 * <p>{@link dev.heddle.train.config.ConfigWriter} is the inverse: the effective configuration,
 * defaults and overrides included, goes into the run's folder and is what {@code --resume} reads.
 */
@NullMarked
package dev.heddle.train.config;

import org.jspecify.annotations.NullMarked;
