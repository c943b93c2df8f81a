<%@ page contentType="text/html; charset=UTF-8" session="false" trimDirectiveWhitespaces="true" %>
<%@ page import="java.io.IOException, java.net.HttpURLConnection, java.net.URL, java.util.Base64" %>
<%-- The Platform Server: takes a drawing from the Image Server and has SVG Render make a picture of it. --%>
<%!
    private static final String IMAGE_SERVER = "http://127.0.0.1:27345/sample.svg";
    private static final String SVG_RENDER = "http://127.0.0.1:27346/";
    private static final int TIMEOUT_MILLIS = 10_000;

    /** The answer to a GET, or to a POST where there is a body. */
    private static byte[] ask(String url, byte[] body) throws IOException {
        var connection = (HttpURLConnection) new URL(url).openConnection();
        connection.setConnectTimeout(TIMEOUT_MILLIS);
        connection.setReadTimeout(TIMEOUT_MILLIS);
        try {
            if (body != null) {
                connection.setDoOutput(true);
                connection.getOutputStream().write(body);
            }
            return connection.getInputStream().readAllBytes();
        } catch (IOException e) {
            throw new IOException(url + ": " + e.getMessage(), e);
        }
    }
%>
<%
    String picture = null;
    String problem = null;
    try {
        byte[] drawing = ask(IMAGE_SERVER, null);
        picture = Base64.getEncoder().encodeToString(ask(SVG_RENDER, drawing));
    } catch (IOException e) {
        problem = e.getMessage();
        response.setStatus(HttpServletResponse.SC_BAD_GATEWAY);
    }
%>
<!DOCTYPE html>
<title>Platform Server</title>
<h1>Platform Server</h1>
<% if (picture != null) { %>
<p>From the Image Server, drawn by SVG Render:</p>
<img alt="a landscape at sunset" src="data:image/png;base64,<%= picture %>">
<% } else { %>
<p>The picture cannot be made: <%= problem %></p>
<% } %>
