/** Training runs whose devices a test can ask what they were given to do. */
@NullMarked
package dev.heddle.train.run;

import org.jspecify.annotations.NullMarked;
