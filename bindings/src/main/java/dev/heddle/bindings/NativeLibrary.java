package dev.heddle.bindings;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * The native libraries that the generated bindings call, each found on first use.
 *
 * <p>Every generated header class holds one of these constants as its symbol lookup. Touching such
 * a class, or reading its constants and struct layouts, finds nothing and loads nothing; the first
 * function that is called looks for the library. Where it looks, in this order:
 *
 * <ol>
 *   <li>the system property {@code heddle.NAME} ({@code heddle.cuda}, {@code .cublas}, {@code
 *       .nccl}, {@code .mpi}, {@code .onednn}), else the environment variable {@code HEDDLE_NAME}:
 *       a file, several files separated as in a class path (cuBLAS is two libraries), or {@code
 *       off}. When it is set nothing else is tried, so a mistyped path is reported instead of being
 *       hidden by another copy of the library;
 *   <li>for oneDNN, the Maven artifact {@code org.bytedeco:dnnl} on the class path, unpacked once
 *       into the user's cache folder;
 *   <li>the names and folders usual on the platform.
 * </ol>
 *
 * <p>Nothing here throws when a library is absent: {@link #isAvailable()} is false, {@link
 * #reason()} says what was tried and how to mend it, and {@link #find} is empty. Code that needs
 * the library starts with {@link #require()}, whose exception carries that reason; a generated
 * function called without it fails with a {@code NoSuchElementException} out of its holder class,
 * and the reason is in the log ({@code System.Logger} {@code dev.heddle.bindings}).
 *
 * <p>Libraries stay loaded until the JVM ends. All methods may be called from any thread.
 */
// The fields that change only remember what was found; the constants are the only lookups there
// are.
@SuppressWarnings("ImmutableEnumChecker")
public enum NativeLibrary implements SymbolLookup {
  /** The CUDA driver, {@code libcuda}; comes with the NVIDIA driver. */
  CUDA("CUDA driver"),
  /** cuBLAS and cuBLASLt; one lookup serves the symbols of both. */
  CUBLAS("cuBLAS and cuBLASLt"),
  /** NCCL, collectives between NVIDIA GPUs. */
  NCCL("NCCL"),
  /** Open MPI 4 or 5; other MPIs have another binary interface. */
  MPI("Open MPI"),
  /** oneDNN 3, together with the OpenMP run-time that it needs. */
  ONEDNN("oneDNN");

  private static final Pattern VERSIONED_SYMBOL = Pattern.compile("(.+)_v\\d+");

  private final String title;
  private @Nullable SearchResult searched;
  private volatile @Nullable SearchResult current;
  private boolean absenceLogged;

  NativeLibrary(String title) {
    this.title = title;
  }

  /** The library's name as its makers write it, for messages. */
  public String title() {
    return title;
  }

  /**
   * The address of a symbol. A versioned name ({@code cuEventElapsedTime_v2}) that the library does
   * not have falls back to the plain one ({@code cuEventElapsedTime}), which older drivers export
   * with the same signature.
   *
   * @return empty if the library or the symbol is absent; never throws
   */
  @Override
  public Optional<MemorySegment> find(String name) {
    Objects.requireNonNull(name, "name");
    SearchResult result = result();
    SymbolLookup lookup = result.lookup();
    if (lookup == null) {
      logAbsence(name, result);
      return Optional.empty();
    }
    Optional<MemorySegment> found = lookup.find(name);
    if (found.isPresent()) {
      return found;
    }
    Matcher versioned = VERSIONED_SYMBOL.matcher(name);
    return versioned.matches() ? lookup.find(versioned.group(1)) : Optional.empty();
  }

  /** Whether the library could be opened. The first call searches and loads it. */
  public boolean isAvailable() {
    return result().lookup() != null;
  }

  /**
   * Where the library was found: a file, or the bare name that the system's loader resolved; empty
   * if it is absent.
   */
  public Optional<String> location() {
    return Optional.ofNullable(result().location());
  }

  /**
   * Why the library is or is not available, as text for a person. If it is absent: every name and
   * place tried with the loader's own message, one a line, and last what to do.
   */
  public String reason() {
    SearchResult result = result();
    return result.lookup() != null
        ? title + " was found at " + result.location()
        : result.explain(title);
  }

  /** If it is absent, every name and place tried with the loader's own message; else none. */
  public List<String> attempts() {
    return result().attempts();
  }

  /** If it is absent, what to do; else empty. */
  public String fix() {
    return result().fix();
  }

  /**
   * This library, for code that cannot go on without it.
   *
   * @throws IllegalStateException if it is absent, with {@link #reason()} as its message
   */
  public NativeLibrary require() {
    if (!isAvailable()) {
      throw new IllegalStateException(reason());
    }
    return this;
  }

  /**
   * Makes every later lookup go to {@code lookup} until the returned handle is closed, which
   * restores what was there before. Meant for test doubles such as the simulated device.
   *
   * <p>A generated function keeps the address that its first call found, so substitute before
   * anything calls the library, and do not expect a function that was already called to move.
   */
  // Identity, because the same lookup may be substituted twice, one inside the other.
  @SuppressWarnings("ReferenceEquality")
  public Substitution substitute(SymbolLookup lookup) {
    Objects.requireNonNull(lookup, "lookup");
    synchronized (this) {
      SearchResult before = current;
      SearchResult substituted = SearchResult.found(lookup, "a substituted lookup");
      current = substituted;
      return () -> {
        synchronized (this) {
          if (current == substituted) {
            current = before;
          }
        }
      };
    }
  }

  /** Undoes one {@link #substitute} when closed; closing it again does nothing. */
  @FunctionalInterface
  public interface Substitution extends AutoCloseable {
    @Override
    void close();
  }

  private SearchResult result() {
    SearchResult result = current;
    if (result != null) {
      return result;
    }
    synchronized (this) {
      result = current;
      if (result == null) {
        result = searched;
        if (result == null) {
          result = LibrarySearch.ofThisMachine().search(this);
          searched = result;
        }
        current = result;
      }
      return result;
    }
  }

  private void logAbsence(String symbol, SearchResult result) {
    synchronized (this) {
      if (absenceLogged) {
        return;
      }
      absenceLogged = true;
    }
    System.getLogger("dev.heddle.bindings")
        .log(System.Logger.Level.WARNING, "{0} was asked for: {1}", symbol, result.explain(title));
  }
}
