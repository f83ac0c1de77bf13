window.ui = SwaggerUIBundle({
  "dom_id": "#swagger-ui",
  "url": "../openapi.json",
  "deepLinking": true,
  "layout": "BaseLayout",
  // A reader must not send a request by accident: each endpoint has its own switch.
  "tryItOutEnabled": false,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
  plugins: [SwaggerUIBundle.plugins.DownloadUrl],
  // Who is logged in on the operators' page in this tab is logged in here.
  onComplete: () => {
    const token = sessionStorage.getItem("joc-orders.token");
    if (token) {
      window.ui.preauthorizeApiKey("accessToken", token);
    }
  }
});
