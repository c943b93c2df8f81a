import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;
import org.apache.batik.transcoder.SVGAbstractTranscoder;
import org.apache.batik.transcoder.TranscoderException;
import org.apache.batik.transcoder.TranscoderInput;
import org.apache.batik.transcoder.TranscoderOutput;
import org.apache.batik.transcoder.image.PNGTranscoder;

/** SVG Render: answers a POST of an SVG document with the picture as PNG, drawn by Apache Batik. */
public final class SvgRender {
    private static final int LARGEST_DOCUMENT = 1 << 20;
    private static final float WIDEST_PICTURE = 2000;

    public static void main(String[] arguments) throws IOException {
        int port = Integer.parseInt(arguments[0]);
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 50);
        server.createContext("/", SvgRender::answer);
        server.setExecutor(Executors.newFixedThreadPool(4));
        server.start();
        System.out.println("SVG Render listens on " + server.getAddress());
    }

    private static void answer(HttpExchange exchange) throws IOException {
        try (exchange) {
            if (!exchange.getRequestMethod().equals("POST")) {
                exchange.getResponseHeaders().set("Allow", "POST");
                refuse(exchange, 405, "POST an SVG document to have it rendered.");
                return;
            }
            byte[] document = exchange.getRequestBody().readNBytes(LARGEST_DOCUMENT + 1);
            if (document.length > LARGEST_DOCUMENT) {
                refuse(exchange, 413, "The document is larger than 1 MiB.");
                return;
            }
            try {
                send(exchange, 200, "image/png", render(document));
            } catch (TranscoderException | RuntimeException e) {
                Throwable cause = e.getCause() == null ? e : e.getCause();
                refuse(exchange, 422, "The document cannot be rendered: " + cause.getMessage());
            }
        }
    }

    private static byte[] render(byte[] document) throws TranscoderException {
        PNGTranscoder transcoder = new PNGTranscoder();
        transcoder.addTranscodingHint(SVGAbstractTranscoder.KEY_MAX_WIDTH, WIDEST_PICTURE);
        transcoder.addTranscodingHint(SVGAbstractTranscoder.KEY_MAX_HEIGHT, WIDEST_PICTURE);
        // A document comes from outside: it may name no file and no server.
        transcoder.addTranscodingHint(SVGAbstractTranscoder.KEY_ALLOW_EXTERNAL_RESOURCES, false);
        ByteArrayOutputStream picture = new ByteArrayOutputStream();
        transcoder.transcode(
                new TranscoderInput(new ByteArrayInputStream(document)), new TranscoderOutput(picture));
        return picture.toByteArray();
    }

    private static void refuse(HttpExchange exchange, int status, String why) throws IOException {
        send(exchange, status, "text/plain; charset=utf-8", (why + "\n").getBytes(StandardCharsets.UTF_8));
    }

    private static void send(HttpExchange exchange, int status, String type, byte[] body) throws IOException {
        exchange.getResponseHeaders().set("Content-Type", type);
        exchange.sendResponseHeaders(status, body.length);
        exchange.getResponseBody().write(body);
    }
}
