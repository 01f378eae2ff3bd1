package dev.heddle.jmh;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Optional;
import java.util.Properties;

/** Versions of the peers, as the Maven profile {@code peers} wrote them down. */
public final class PeerVersions {
  private static final String FILE = "peers.properties";
  private static final Properties VERSIONS = new Properties();

  static {
    try (InputStream stream = PeerVersions.class.getResourceAsStream(FILE)) {
      if (stream != null) {
        VERSIONS.load(stream);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(FILE, e);
    }
  }

  private PeerVersions() {}

  /**
   * The version of a peer, or nothing if this build is without peers.
   *
   * @param peer such as {@code djl}, {@code djl.libtorch}, {@code javacpp.libtorch}
   */
  public static Optional<String> of(String peer) {
    return Optional.ofNullable(VERSIONS.getProperty(peer));
  }
}
