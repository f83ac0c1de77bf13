window.ui = SwaggerUIBundle({
  "dom_id": "#swagger-ui",
  "url": "../openapi.json",
  "deepLinking": true,
  "layout": "BaseLayout",
  // A reader must not send a request by accident: each endpoint has its own switch.
  "tryItOutEnabled": false,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
  plugins: [SwaggerUIBundle.plugins.DownloadUrl]
});
