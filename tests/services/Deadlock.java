import com.sun.net.httpserver.HttpServer;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;

/**
 * A server that answers on the port of its argument until somebody asks it for {@code /deadlock}: then two of its threads
 * wait for each other for ever, one of them with the lock that every answer takes.
 */
public final class Deadlock {
    private static final Object stock = new Object();
    private static final Object orders = new Object();

    public static void main(String[] arguments) throws Exception {
        var address = new InetSocketAddress(InetAddress.getLoopbackAddress(), Integer.parseInt(arguments[0]));
        var server = HttpServer.create(address, 0);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/", exchange -> {
            synchronized (stock) {
                exchange.sendResponseHeaders(200, -1);
            }
            exchange.close();
        });
        server.createContext("/deadlock", exchange -> {
            var bothHoldOne = new CountDownLatch(2);
            new Thread(() -> takeBoth(stock, orders, bothHoldOne), "sells").start();
            new Thread(() -> takeBoth(orders, stock, bothHoldOne), "buys").start();
            exchange.sendResponseHeaders(200, -1);
            exchange.close();
        });
        server.start();
        System.out.println("listening, pid " + ProcessHandle.current().pid());
    }

    private static void takeBoth(Object first, Object second, CountDownLatch bothHoldOne) {
        synchronized (first) {
            bothHoldOne.countDown();
            try {
                bothHoldOne.await();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            synchronized (second) {
                throw new AssertionError("the other thread has let go");
            }
        }
    }
}
