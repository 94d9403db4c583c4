// PlayCanvas with the same splats, at rest, and every splat displaced each frame by its own hook for that, which makes it
// generate and order them anew; no rig. `?cull=0` keeps the small and faint splats that it drops by default.
import './meter.mjs';
import * as pc from 'playcanvas';

const canvas = document.createElement('canvas');
document.getElementById('view').append(canvas);
const device = await pc.createGraphicsDevice(canvas, { deviceTypes: ['webgl2'], antialias: false });
device.maxPixelRatio = 1;
const options = new pc.AppOptions();
options.graphicsDevice = device;
options.componentSystems = [pc.CameraComponentSystem, pc.GSplatComponentSystem];
options.resourceHandlers = [pc.TextureHandler, pc.ContainerHandler, pc.GSplatHandler];
const app = new pc.AppBase(canvas);
app.init(options);
app.setCanvasFillMode(pc.FILLMODE_NONE, 512, 512);
app.setCanvasResolution(pc.RESOLUTION_FIXED, 512, 512);
if (new URLSearchParams(location.search).get('cull') === '0') {
  app.scene.gsplat.minPixelSize = 0;
  app.scene.gsplat.minContribution = 0;
}
const asset = new pc.Asset('avatar', 'gsplat', { url: '/assets/static.ply' });
await new Promise((done, failed) => {
  asset.on('load', done);
  asset.on('error', failed);
  app.assets.add(asset);
  app.assets.load(asset);
});
app.start();
const splats = new pc.Entity('splats');
splats.addComponent('gsplat', { asset, unified: true });
app.root.addChild(splats);
splats.gsplat.workBufferUpdate = pc.WORKBUFFER_UPDATE_ALWAYS;
splats.gsplat.setWorkBufferModifier({
  glsl: `uniform float swing;
void modifySplatCenter(inout vec3 center){center.y+=.002*sin(swing+30.*center.x);}
void modifySplatRotationScale(vec3 before,vec3 after,inout vec4 rotation,inout vec3 scale){}
void modifySplatColor(vec3 center,inout vec4 color){}`,
});
const camera = new pc.Entity('camera');
camera.addComponent('camera', { clearColor: new pc.Color(1, 1, 1), fov: 50, nearClip: 0.1, farClip: 100,
  toneMapping: pc.TONEMAP_NONE, gammaCorrection: pc.GAMMA_NONE });
camera.setLocalPosition(0, 1.8, 1);
camera.setLocalEulerAngles(-10, 0, 0);
app.root.addChild(camera);
app.on('update', () => {
  splats.gsplat.setParameter('swing', performance.now() / 100);
  app.renderNextFrame = true;
});
