/**
 * JSON as plain Java values, for the files that a run reads and writes: the data set's list, the
 * vocabulary, checkpoint manifests and headers, metrics.
 *
 * <p>{@link dev.heddle.train.json.Json#parse} gives maps, lists, texts, numbers, truth values and
 * null; {@link dev.heddle.train.json.Json#write} is its inverse. There is no data binding: it would
 * load a thousand classes before the first training step for a handful of small shapes, and a
 * reader that picks its values by hand can say what is wrong with each of them.
 *
 * <p>Not part of the module's API.
 */
@NullMarked
package dev.heddle.train.json;

import org.jspecify.annotations.NullMarked;
