/**
 * Training state on the disk: safetensors files with a manifest, written so that killing the
 * process at any moment loses nothing that was finished.
 *
 * <p>{@link dev.heddle.train.checkpoint.SafetensorsWriter} and {@link
 * dev.heddle.train.checkpoint.SafetensorsFile} know the file format (eight bytes of header length,
 * a JSON header, the data) and nothing of training: writing streams one tensor at a time, reading
 * maps the file. A header is checked against the file before anything in it is believed.
 *
 * <p>A {@link dev.heddle.train.checkpoint.Checkpoint} is a folder of such files and a {@code
 * manifest.json} with the length and CRC-32C of each, so that a file that was cut short or edited
 * is refused by name. {@link dev.heddle.train.checkpoint.CheckpointStore} keeps the last few of a
 * run; its Javadoc tells why a kill cannot hurt.
 *
 * <p>What the tensors mean is the trainer's matter. It gives global names and shapes, never a
 * rank's shard, so that a run can be resumed under any other layout.
 *
 * <pre>
 * runs/x/checkpoints/0001-step-00000050/manifest.json
 *                                       model.safetensors
 *                                       optimizer.safetensors
 * </pre>
 */
@NullMarked
package dev.heddle.train.checkpoint;

import org.jspecify.annotations.NullMarked;
