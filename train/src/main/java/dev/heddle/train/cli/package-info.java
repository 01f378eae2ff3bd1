/**
 * The {@code heddle} command: words in, exit code out.
 *
 * <p>{@link dev.heddle.train.cli.Main} begins; each command is a class that reads its words, loads
 * the configuration and calls the {@link dev.heddle.train.cli.Application}, which does the work.
 * Whatever a user can mend (a mistyped option, a configuration that cannot work, data or a
 * checkpoint that cannot be read) is said in one line without a stack trace, exit code 2; a run
 * that fails shows where, exit code 1.
 *
 * <pre>
 * heddle train CONFIG [--set a.b.c=VALUE] [--steps N] [--metrics FILE] [--resume DIR] [--seed N]
 * heddle plan CONFIG [--set a.b.c=VALUE]
 * heddle doctor
 * </pre>
 */
@NullMarked
package dev.heddle.train.cli;

import org.jspecify.annotations.NullMarked;
