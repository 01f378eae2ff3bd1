/**
 * The data that a run trains on: pictures of emoji with their names.
 *
 * <p>{@link dev.heddle.train.dataset.EmojiDataset} reads the list and splits it by emoji, so that
 * no drawing of a held-out emoji is ever trained on. {@link dev.heddle.train.dataset.BatchPlan}
 * says which examples a step consists of and which of those a rank needs; {@link
 * dev.heddle.train.dataset.PictureReader} cuts exactly those out of the sheet and turns them into
 * floats. {@link dev.heddle.train.dataset.SoundReader} joins the recordings of a name's words,
 * which are synthetic speech, and turns them into the frames of a {@link
 * dev.heddle.train.dataset.Spectrogram}; how many frames a name has is known without reading it.
 * {@link dev.heddle.train.dataset.WordTokenizer} numbers the words of the training captions, and
 * {@link dev.heddle.train.dataset.CaptionMetrics} scores what a model writes.
 *
 * <p>The order of the examples and each change to a picture are functions of (seed, epoch, example)
 * alone. A rank, a layout or a resumed run can therefore never see other data than any other, and
 * ranks agree about a step without a message.
 *
 * <p>The shipped pictures are Noto Emoji (Apache-2.0) and Twemoji (CC-BY-4.0); the README beside
 * them has the details. The shipped speech was made by espeak-ng; no person was recorded.
 */
@NullMarked
package dev.heddle.train.dataset;

import org.jspecify.annotations.NullMarked;
