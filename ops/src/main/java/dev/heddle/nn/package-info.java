/**
 * Layers of models: modules that own parameters.
 *
 * <p>Start with {@link dev.heddle.nn.Layers} (what modules are built from), {@link
 * dev.heddle.nn.Module} and {@link dev.heddle.nn.TransformerBlock}. A module is written once and
 * knows no parallelism. It says which dim of a weight may be divided, in which units (heads, hidden
 * features, words), and where a value {@linkplain dev.heddle.nn.Layers#enter enters} and
 * {@linkplain dev.heddle.nn.Layers#leave leaves} the divided region; {@link
 * dev.heddle.nn.LocalLayers} divides nothing, {@code dev.heddle.parallel.tensor} divides over
 * ranks.
 *
 * <p>Ranks may divide the positions of sequences too. A {@link dev.heddle.nn.SequenceSpec} says
 * what the sequences of a microbatch are before any division and is handed along; {@code Layers}
 * says which positions this rank {@linkplain dev.heddle.nn.Layers#heldPositions holds} between
 * layers and {@linkplain dev.heddle.nn.Layers#enteredPositions works on} inside one.
 *
 * <p>A {@link dev.heddle.nn.Parameter} has a global name and shape and may be one rank's interval
 * of the global tensor. Initial values are drawn by global index, so every layout starts from the
 * same model.
 */
package dev.heddle.nn;
