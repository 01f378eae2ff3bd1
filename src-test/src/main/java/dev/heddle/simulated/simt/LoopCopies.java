package dev.heddle.simulated.simt;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Gives every kind of instruction its own copy of the loop over lanes that it is executed by.
 *
 * <p>{@link Loops} has one class a shape, and what is computed for a lane is a lambda. If all
 * additions, multiplications and so on shared one class, the compiler would see a call of anything
 * in its loop and could not inline it. So the class file of the loop is defined once more, as a
 * hidden class, for each mnemonic; in each copy there is one lambda, and the compiler makes one
 * tight loop.
 */
final class LoopCopies {
  private record Key(Class<? extends Step> template, String mnemonic) {}

  private static final MethodHandles.Lookup LOOKUP = MethodHandles.lookup();
  private static final Map<Key, MethodHandle> COPIES = new ConcurrentHashMap<>();

  private LoopCopies() {}

  /**
   * A step of a class that is a copy of {@code template}.
   *
   * @param mnemonic the same for all that may share a copy
   * @param arguments of the template's only constructor
   */
  static Step step(Class<? extends Step> template, String mnemonic, Object... arguments) {
    MethodHandle constructor =
        COPIES.computeIfAbsent(new Key(template, mnemonic), key -> copy(key.template));
    try {
      return (Step) constructor.invokeWithArguments(arguments);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  private static MethodHandle copy(Class<? extends Step> template) {
    String file = template.getName().substring(template.getPackageName().length() + 1) + ".class";
    try (InputStream stream = template.getResourceAsStream(file)) {
      if (stream == null) {
        throw new IllegalStateException("class file " + file + " is not on the class path");
      }
      Class<?> copy = LOOKUP.defineHiddenClass(stream.readAllBytes(), true).lookupClass();
      return LOOKUP.unreflectConstructor(copy.getDeclaredConstructors()[0]);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (IllegalAccessException e) {
      throw new IllegalStateException(e);
    }
  }
}
