/**
 * What a run tells people: while it goes on, and when it is over.
 *
 * <p>{@link dev.heddle.train.report.MetricsFile} writes one JSON object a step with every digit, so
 * that two runs can be compared; {@link dev.heddle.train.report.ProgressLine} shows the same
 * numbers live. At the end {@link dev.heddle.train.report.HtmlReport} turns a {@link
 * dev.heddle.train.report.RunReport} into one self-contained page: results beside the baseline,
 * pictures with their captions, curves, layout, configuration, environment.
 *
 * <p>{@link dev.heddle.train.report.Machine} says what was found of JDK, vector width and native
 * libraries; the head of a run, {@code heddle doctor} and the page all show it.
 *
 * <p>Nothing here knows how training works: the trainer fills the records.
 */
@NullMarked
package dev.heddle.train.report;

import org.jspecify.annotations.NullMarked;
