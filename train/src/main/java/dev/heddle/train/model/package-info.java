/**
 * The captioning model: {@link dev.heddle.train.model.VisionEncoder} and, where the model hears,
 * {@link dev.heddle.train.model.AudioEncoder}, each with its projector, {@link
 * dev.heddle.train.model.LanguageModel}, and the programs that run them as components.
 *
 * <p>The models are written against {@code dev.heddle.nn.Layers} and know no parallelism. Image
 * rows stand before the words in a sample's sequence and are placed there by index.
 */
package dev.heddle.train.model;
